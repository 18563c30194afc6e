"""Every error is a problem (RFC 9457) of the table in `flagsite.web.problems`, explained in `docs/errors.md`."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404
from django.test import Client, RequestFactory

from conftest import Cast
from flagsite.core import actor
from flagsite.core.errors import FlagsiteError
from flagsite.web import problems
from flagsite.web.django_application import django_handler
from flagsite.web.problems import HTTP_TYPES, INVALID_INPUT, NEVER_ANSWERED, PROBLEMS
from flagsite.web_server.refusals import TYPES
from orgs.access.endpoints import Endpoint
from orgs.tests.api import Api, kind_of
from orgs.tests.failing_queries import failing_queries
from orgs.tree.api import OneOrganization
from orgs.tree.models import Organization

OURS = {
    error
    for app in ("flagsite.core", "orgs", "jobs", "flags")
    for _, error in inspect.getmembers(importlib.import_module(f"{app}.errors"), inspect.isclass)
    if issubclass(error, Exception) and error.__module__ == f"{app}.errors"
}


def test_every_exception_of_ours_is_told_or_meant_to_stay_inside() -> None:
    assert set(PROBLEMS) | NEVER_ANSWERED == OURS
    assert not set(PROBLEMS) & NEVER_ANSWERED


def test_the_docs_explain_every_type_with_its_status() -> None:
    text = (Path(django_settings.BASE_DIR) / "docs" / "errors.md").read_text()
    documented = {
        (kind, int(status)) for kind, status in re.findall(r"^\| `([a-z-]+)` \| (\d+) \|", text, re.MULTILINE)
    }
    told = {(kind, status) for status, kind in PROBLEMS.values()} | {(INVALID_INPUT, 400)}
    told |= {(kind, status) for types in (HTTP_TYPES, TYPES) for status, kind in types.items()}
    assert documented == told


def raising(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(OneOrganization, "get", fails)


@pytest.mark.parametrize("error", sorted(PROBLEMS, key=str))
def test_an_exception_of_ours_is_answered_by_the_table(
    admin_key: str, monkeypatch: pytest.MonkeyPatch, error: Any
) -> None:
    raising(monkeypatch, error("In other words."))
    response = Api(admin_key).get("/organizations/1")
    assert (response.status_code, kind_of(response)) == PROBLEMS[error]
    assert response.json()["detail"] == "In other words."


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (Http404(), 404, "not-found"),
        (PermissionDenied(), 403, "not-permitted"),
        (OperationalError("secret address"), 503, "database-away"),
        (InterfaceError(), 503, "database-away"),
        (SuspiciousOperation("secret"), 400, "bad-request"),
        (RuntimeError("secret"), 500, "internal-error"),
        (FlagsiteError("secret"), 500, "internal-error"),
    ],
)
def test_every_other_exception_is_a_problem_too_and_tells_no_secrets(
    admin_key: str, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, kind: str
) -> None:
    raising(monkeypatch, error)
    response = Api(admin_key).get("/organizations/1")
    assert (response.status_code, kind_of(response)) == (status, kind)
    assert b"secret" not in response.content
    assert response.get("Retry-After") == ("5" if status == 503 else None)


def test_a_fault_of_ours_names_the_request(admin_key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, RuntimeError())
    response = Api(admin_key).send("GET", "/organizations/1", X_Request_ID="req-9")
    assert "req-9" in response.json()["detail"]
    assert response["X-Request-ID"] == "req-9"


def test_a_database_that_is_away_already_for_the_key_is_a_503(db: None) -> None:
    with failing_queries(OperationalError("gone")):
        response = Api("wrongwro.wrong").get("/organizations")
    assert (response.status_code, kind_of(response), response["Retry-After"]) == (503, "database-away", "5")


def test_addresses_that_lead_nowhere_are_problems(db: None) -> None:
    for path in ("/nowhere", "/organizations/", "/organizations/1/", "/1", "/1/a/true/", "/static/nothing.css"):
        response = Api().get(path)
        assert (response.status_code, kind_of(response)) == (404, "not-found"), path


@pytest.mark.parametrize(
    "path", ["/job-status/abc", "/job-status/0", "/v1/schedules/7.0/cancel", f"/v1/queue/batches/{2**63}"]
)
def test_an_id_that_is_no_whole_number_is_told(db: None, path: str) -> None:
    response = Api().get(path)
    assert (response.status_code, kind_of(response)) == (404, "not-found")
    assert "needs an id: a whole number" in response.json()["detail"]


def test_an_address_for_which_no_id_would_help_is_not_told_of_ids(db: None) -> None:
    for path in ("/job-status/abc/", "/v1/schedules/7/nonsense", "/nowhere", "/job-status"):
        assert "whole number" not in Api().get(path).json()["detail"], path


def test_a_method_that_another_form_of_the_address_has_is_told_with_this_form(cast: Cast, admin_key: str) -> None:
    set_without_value = Api(admin_key).post("/acme/new-checkout")
    assert (set_without_value.status_code, kind_of(set_without_value)) == (405, "method-not-allowed")
    assert "send POST to this address with /true or /false after it" in set_without_value.json()["detail"]
    assert "send GET to this address without its last part" in Api(admin_key).get("/acme/x/true").json()["detail"]


def test_a_host_that_is_not_ours_is_refused(db: None) -> None:
    response = Client(headers={"Host": "evil.example"}).get("/organizations")
    assert (response.status_code, kind_of(response)) == (400, "bad-request")


@pytest.mark.parametrize("handler", ["bad_request", "forbidden", "not_found"])
def test_djangos_own_handlers_answer_problems(handler: str) -> None:
    response = getattr(problems, handler)(RequestFactory().get("/"), Exception())
    assert response["Content-Type"] == "application/problem+json"


def test_nested_messages_are_named_by_their_path() -> None:
    detail = {"a": {"b": ["one", "two"], "non_field_errors": ["three"]}, "non_field_errors": ["four"], "c": "five"}
    flat = [(error["field"], error["message"]) for error in problems.field_errors(detail)]
    assert flat == [("a.b", "one"), ("a.b", "two"), ("a", "three"), ("", "four"), ("c", "five")]


@pytest.mark.parametrize("content_type", ["application/json; charset=hex", "application/json; charset*=bogus''%41"])
def test_a_charset_that_python_fails_on_is_of_no_consequence(cast: Cast, admin_key: str, content_type: str) -> None:
    body = '{"name": "Malmö", "key": "malmo"}'.encode()
    request = RequestFactory().generic("POST", "/organizations?x=%C3%A9", body, headers={"X-API-Key": admin_key})
    django = django_handler()
    made = django.request_class({**request.environ, "CONTENT_TYPE": content_type})
    assert django.get_response(made).status_code == 201
    assert Organization.objects.get(key="malmo").name == "Malmö"


def test_requests_have_an_id_of_their_own_unless_they_bring_one(admin_key: str) -> None:
    api = Api(admin_key)
    made = [api.get("/organizations")["X-Request-ID"] for _ in range(2)]
    assert made[0] != made[1]
    assert api.send("GET", "/nowhere", X_Request_ID="a.b:c_d-1")["X-Request-ID"] == "a.b:c_d-1"
    for wrong in ("", "a b", "x" * 129, "é", "a\tb", "<script>"):
        given = api.send("GET", "/organizations", X_Request_ID=wrong)["X-Request-ID"]
        assert re.fullmatch("[0-9a-f]{32}", given)


def test_a_request_leaves_nothing_in_the_context_of_the_next(admin_key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    contexts: list[actor.ActionContext] = []
    perform = OneOrganization.get

    def look(*args: Any, **kwargs: Any) -> Any:
        contexts.append(actor.current())
        return perform(*args, **kwargs)

    monkeypatch.setattr(OneOrganization, "get", look)
    import_context = importlib.import_module("structlog.contextvars").get_contextvars
    before = actor.current()
    Api(admin_key).get("/organizations/1")
    assert contexts[0].has_actor
    assert actor.current() is before
    assert not {"caller", "correlationId"} & set(import_context())
    assert issubclass(OneOrganization, Endpoint)


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        ("POST", "/organizations/1", b"{}", "Use one of these: GET, PATCH, DELETE, HEAD, OPTIONS."),
        ("POST", "/5/new-checkout", b"{}", "Use one of these: GET, HEAD, OPTIONS."),
        ("POST", "/organizations", b"name=x", "Send one of these as Content-Type: application/json."),
        ("POST", "/v1/imports", b"key,name", "Send one of these as Content-Type: text/csv, "),
        ("GET", "/organizations/1/", b"", "none of the API ends with a slash"),
        ("GET", "/acme", b"", "An organization is at /organizations/{id or key}."),
    ],
)
def test_an_error_of_the_framework_names_the_way_out(
    admin_key: str, method: str, path: str, body: bytes, words: str
) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if b"=" in body or b"," in body else {}
    assert words in Api(admin_key).send(method, path, body, **headers).json()["detail"]


def test_without_a_key_the_answer_says_where_to_put_one(db: None) -> None:
    assert "Send an access key in the header Authorization: Bearer …" in Api().get("/organizations").json()["detail"]
