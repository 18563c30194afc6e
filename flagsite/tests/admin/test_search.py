"""The search of the side bar finds whatever the person may see, and nothing else."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from conftest import Cast
from flags.definitions import service
from flags.segments.models import Segment
from flags.states.set_flag import set_flag
from jobs.engine.models import Job
from jobs.tests.engine_steps import waiting
from orgs.access import access_keys
from orgs.access.models import StaffScope
from orgs.tests.people import person, shown, signed_in

pytestmark = pytest.mark.django_db


def found(client: Client, term: str) -> set[str]:
    """The addresses that the search leads to."""
    return set(re.findall(r'href="([^"]*)"', shown(client.get("/admin/search/", {"s": term}, headers=HTMX))))


HTMX = {"HX-Request": "true"}


def of(organization: object) -> str:
    return f"/admin/orgs/organization/{organization.pk}/change/"


def test_organizations_flags_jobs_people_keys_and_pages_are_found(cast: Cast) -> None:
    flag = service.create(key="oslo-banner", by="user:ada", values={})
    job = waiting(organization_id=cast.oslo.pk)
    olga = person("operator", name="olga-of-oslo")
    key, _ = access_keys.create(name="oslo nightly")
    segment = Segment.objects.create(key="oslo-testers")
    client = signed_in("admin")
    assert found(client, "oslo") == {
        of(cast.oslo),
        f"/admin/flags/flag/{flag.pk}/change/",
        f"/admin/flags/segment/{segment.pk}/change/",
        f"/admin/auth/user/{olga.pk}/change/",
        f"/admin/orgs/accesskey/?q={key.prefix}",
    }
    assert f"/admin/jobs/job/{job.pk}/change/" in found(client, str(job.pk))
    assert "/admin/jobs/queue/" in found(client, "queue")


def test_a_job_is_found_by_its_correlation_id(cast: Cast) -> None:
    job = waiting(organization_id=cast.oslo.pk, correlation_id="req-17")
    assert found(signed_in("viewer"), "req-17") == {f"/admin/jobs/job/{job.pk}/change/"}


def test_a_bound_person_finds_nothing_of_others(cast: Cast) -> None:
    set_flag(organization_id=cast.rival_store.pk, flag_key="rivals-own", enabled=True, requested_by="user:x")
    job = waiting(organization_id=cast.rival.pk)
    access_keys.create(name="rival nightly", organization=cast.rival)
    person("admin", name="rival-person")
    client = signed_in("admin", bound_to=cast.acme)
    for term in ("rival", str(job.pk), str(cast.rival.pk), f"id:{cast.rival.pk}"):
        assert not {link for link in found(client, term) if "rival" in link or f"/{job.pk}/" in link}, term
        assert of(cast.rival) not in found(client, term)
    assert found(client, "rival") == set()


def test_what_was_found_before_a_person_was_bound_is_not_found_afterwards(cast: Cast) -> None:
    client = signed_in("viewer")
    assert of(cast.rival) in found(client, "rival")
    StaffScope.objects.create(user_id=client.session["_auth_user_id"], organization=cast.acme)
    assert found(client, "rival") == set()


def test_who_may_not_open_a_list_finds_nothing_of_it(cast: Cast) -> None:
    person("admin", name="olga")
    access_keys.create(name="olgas key")
    assert found(signed_in("viewer"), "olga") == set()


def test_enter_opens_the_results_as_a_page(cast: Cast) -> None:
    page = shown(signed_in("viewer").get("/admin/search/?s=oslo"))
    assert "Acme › North › Oslo" in page
    assert 'id="nav-filter"' in page


def test_nothing_found_says_what_can_be_searched_for(cast: Cast) -> None:
    assert "the number of a job" in shown(signed_in("viewer").get("/admin/search/?s=xyzzy"))


def test_a_term_of_a_large_tree_needs_few_queries(cast: Cast, django_assert_max_num_queries: object) -> None:
    client = signed_in("admin")
    with django_assert_max_num_queries(25):
        found(client, "o")
    assert Job.objects.count() == 0
