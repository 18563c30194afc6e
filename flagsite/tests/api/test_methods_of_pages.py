"""An address outside the API takes the methods that it has a use for; others get 405, with the header Allow."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from flagsite.web.event_stream import PATH, EventStream
from orgs.tests.api import kind_of
from orgs.tests.people import SUPERUSER, signed_in

pytestmark = pytest.mark.django_db
FORMS = re.compile(
    "login|sign_in|logout|password_change|own_password|auth_user_password_change|.*_(changelist|add|change|delete|tree|do|act|operation"
    "|switch|evaluate|invalidate|pause|resume|apply|revoke|rotate|clean_up|compute|retry|cancel|enqueue|set|members|replay|remove|test|undo|review|try_unsaved|import_flags)"
    "|switch-gate|my-notifications"
)
"""The names of the pages with a form. The list of a model has one for its actions."""
OF_A_SCRIPT = {"X-Requested-With": "XMLHttpRequest"}
WRITES = ("POST", "PUT", "PATCH", "DELETE")


def pages(resolver: URLResolver, prefix: str = "/") -> Iterator[tuple[str, str]]:
    """The address and the name of each view that is not the API's."""
    for pattern in resolver.url_patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from pages(pattern, path)
        elif isinstance(pattern, URLPattern) and not hasattr(pattern.callback, "cls"):
            app = re.sub(r"\^\(\?P<app_label>\w+\|.*", "orgs/", path)
            yield re.sub(r"<[^>]+>|\(\?P.*", "1", app), pattern.name or getattr(pattern.callback, "__name__", "")


PAGES = sorted(set(pages(get_resolver())))


def refused(client: Client, method: str, address: str) -> str:
    """Send the method from a browser's script, and return the header Allow of the refusal."""
    answer = client.generic(method, address, headers=OF_A_SCRIPT)
    assert answer.status_code == 405, f"{method} {address}"
    assert kind_of(answer) == "method-not-allowed"
    assert answer["Allow"] in answer.json()["detail"]
    return str(answer["Allow"])


def test_no_page_takes_a_method_that_browsers_do_not_send() -> None:
    client = signed_in(SUPERUSER)
    for address, _ in PAGES:
        for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
            assert refused(client, method, address).startswith("GET, HEAD")


def test_a_page_without_a_form_takes_no_post() -> None:
    client = signed_in(SUPERUSER)
    without = [(address, name) for address, name in PAGES if not FORMS.fullmatch(name)]
    without.remove(("/admin/1", "catch_all_view"))  # there is nothing
    names = {name for _, name in without}
    assert {"start-page", "index", "overview", "orgs_auditentry_csv", "flags_flag_stale"} <= names
    taken = [
        (name, address) for address, name in without
        if client.post(address, headers=OF_A_SCRIPT).headers.get("Allow") != "GET, HEAD"
    ]  # fmt: skip
    assert taken == [], " ".join(name for name, _ in taken)
    for address, _ in without:
        assert refused(client, "POST", address) == "GET, HEAD"


@pytest.mark.parametrize("address", ["/", "/docs", "/openapi.json", "/livez", "/readyz", "/version"])
@pytest.mark.parametrize("method", WRITES)
def test_what_everybody_may_read_takes_no_write(address: str, method: str) -> None:
    """A program has no token against forged forms. It learns the methods all the same."""
    answer = Client(enforce_csrf_checks=True).generic(method, address)
    assert (answer.status_code, kind_of(answer)) == (405, "method-not-allowed")
    assert answer["Allow"].startswith("GET, HEAD")
    assert Client().get(address).status_code in {200, 503}
    assert Client().head(address).status_code in {200, 503}


def test_a_file_takes_no_write() -> None:
    assert refused(Client(), "POST", "/static/flagsite/overview.css") == "GET, HEAD"


def test_a_person_reads_in_words_that_a_page_takes_no_post() -> None:
    answer = signed_in("viewer").post("/admin/jobs/queue/live/")
    assert answer.status_code == 405
    assert "This page does something else" in answer.content.decode()


@pytest.mark.parametrize(("path", "allow"), [("/livez", b"GET, HEAD"), ("/readyz", b"GET, HEAD"), (PATH, b"GET")])
def test_the_events_server_takes_no_write(path: str, allow: bytes) -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    for method in WRITES:
        sent.clear()
        scope = {"type": "http", "path": path, "method": method, "query_string": b"", "headers": []}
        asyncio.run(EventStream()(scope, asyncio.Event().wait, send))
        assert sent[0]["status"] == 405
        assert (b"allow", allow) in sent[0]["headers"]
