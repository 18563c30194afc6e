"""What a person sees in the admin site instead of a page: words and a way out, and never the JSON of a program."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from conftest import Cast
from flags.definitions.admin import FlagAdmin
from jobs.admin.jobs import JobAdmin
from orgs.errors import OrganizationNotFound, TreeBusy
from orgs.tests.failing_queries import failing_queries
from orgs.tests.people import signed_in

pytestmark = pytest.mark.django_db


def words(answer: Any, status: int) -> str:
    """The text of an answer that has to be a page for people with this status and a link to the admin site."""
    assert answer.status_code == status
    assert answer["Content-Type"].startswith("text/html"), answer.content
    page = str(answer.content.decode())
    assert 'href="/admin/"' in page
    assert "Content-Security-Policy" in answer
    return page


@pytest.mark.parametrize("path", ["/admin/nothing/", "/admin/jobs/job/999999/change/", "/admin/flags/flag/9/evaluate/"])
def test_what_is_not_there_is_said_in_words(cast: Cast, path: str) -> None:
    assert "There is nothing at this address" in words(signed_in("admin").get(path), 404)


def test_what_a_person_may_not_do_is_said_in_words(cast: Cast) -> None:
    page = words(signed_in("viewer").get("/admin/auth/user/"), 403)
    assert "An administrator of Flagsite can change both" in page


def test_a_malformed_request_is_refused_in_words(cast: Cast) -> None:
    words(signed_in("admin").get("/admin/flags/flag/?q=%00"), 400)


def test_an_unknown_host_is_refused_in_words() -> None:
    assert "ALLOWED_HOSTS" in words(Client().get("/admin/login/", headers={"Host": "elsewhere.example"}), 400)


def test_the_database_being_away_is_said_in_words(cast: Cast) -> None:
    client = signed_in("admin")
    with failing_queries(OperationalError("gone")):
        answer = client.get("/admin/jobs/job/")
    assert "The database cannot be reached" in words(answer, 503)
    assert answer["Retry-After"] == "5"


@pytest.mark.parametrize(("error", "status"), [(TreeBusy(), 503), (OrganizationNotFound("It is gone."), 404)])
def test_a_refusal_that_no_page_expects_is_said_in_words(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    monkeypatch.setattr(FlagAdmin, "get_queryset", raising(error))
    assert str(error) in words(signed_in("admin").get("/admin/flags/flag/"), status)


def test_a_fault_of_ours_names_the_request(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JobAdmin, "get_queryset", raising(ZeroDivisionError()))
    client = signed_in("admin")
    client.raise_request_exception = False
    answer = client.get("/admin/jobs/job/")
    assert answer["X-Request-ID"] in words(answer, 500)


def test_a_script_gets_a_problem(cast: Cast) -> None:
    answer = signed_in("admin").get("/admin/nothing/", headers={"HX-Request": "true"})
    assert answer["Content-Type"] == "application/problem+json"


def test_the_address_without_its_slash_leads_to_the_admin_site(cast: Cast) -> None:
    assert signed_in("admin").get("/admin")["Location"] == "/admin/"


def raising(error: Exception) -> Any:
    def view(*_: Any, **__: Any) -> None:
        raise error

    return view
