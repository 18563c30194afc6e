"""What people put into addresses of the admin site: only what its filters ask is answered, and odd text is refused."""

from __future__ import annotations

import re

import pytest

from conftest import Cast
from flags.states.set_flag import set_flag
from jobs.tests.engine_steps import waiting
from orgs.access import access_keys
from orgs.access.models import Role
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
JOBS, FLAGS, AUDIT_LOG = "/admin/jobs/job/", "/admin/flags/flag/", "/admin/orgs/auditentry/"


@pytest.mark.parametrize(
    ("path", "first"), [("/admin/orgs/accesskey/", "prefix"), ("/admin/auth/group/", "name"), (JOBS, "job")]
)
def test_on_a_phone_the_first_cell_of_a_row_has_the_name_of_its_column(cast: Cast, path: str, first: str) -> None:
    access_keys.create(name="nightly", role=Role.EVALUATOR)
    waiting()
    page = shown(signed_in("admin").get(path))
    cells = re.findall(r'<t[hd][^>]* data-label="([^"]*)"', page)
    assert first in cells
    assert ("Select record" in cells) == (path == JOBS)  # where there is a box to select


@pytest.mark.parametrize(
    ("who", "path"),
    [
        ("viewer", f"{JOBS}?error_traceback__contains=x"),
        ("viewer", f"{JOBS}?lease_token__isnull=0"),
        ("viewer", f"{JOBS}?status__startswith=P"),
        ("viewer", f"{JOBS}?parent_job__requested_by=alice"),
        ("viewer", f"{FLAGS}?whitelist__icontains=user"),
        ("viewer", f"{FLAGS}?whitelist__contains=user"),
        ("viewer", f"{AUDIT_LOG}?details__contains=x"),
        ("admin", "/admin/orgs/accesskey/?hashed_key__startswith=pbkdf2"),
        ("admin", "/admin/auth/user/?password__startswith=md5"),
        ("admin", "/admin/auth/user/?groups__name=admin"),
    ],
)
def test_columns_that_no_filter_asks_for_cannot_be_guessed_at(cast: Cast, who: str, path: str) -> None:
    set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True)
    assert signed_in(who).get(path).status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        f"{JOBS}?parent_job__isnull=False&status__exact=COMPLETED",
        f"{JOBS}?status__exact=PENDING&queue__exact=default&trigger__exact=manual&within=1h&below=north&flag=x&by=y",
        f"{FLAGS}?archived__exact=0&killed__exact=1&kind__exact=release",
        f"{AUDIT_LOG}?by=alice&did=job.retry&of=north&via=api&at_from=2026-01-01&at_to=2026-01-31",
        "/admin/orgs/accesskey/?role__exact=admin&revoked__exact=0",
        "/admin/auth/user/?is_superuser__exact=0&is_active__exact=1&groups__id__exact=1",
        "/admin/flags/flagschedule/?status__exact=pending",
    ],
)
def test_what_the_filters_ask_is_answered(cast: Cast, path: str) -> None:
    waiting()
    shown(signed_in("admin").get(path))


@pytest.mark.parametrize(
    "path",
    [
        *(f"{JOBS}?{name}=%00" for name in ("below", "flag", "by", "status__exact", "q")),
        f"{JOBS}{{job}}/change/?failed=%00",
        f"{AUDIT_LOG}?by=%00",
        f"{AUDIT_LOG}?of=a%00b",
        "/admin/orgs/organization/?q=%00",
        "/admin/jobs/queue/%00/pause/",
        f"{JOBS}?%00=x",
    ],
)
def test_a_zero_character_is_refused(cast: Cast, path: str) -> None:
    answer = signed_in("operator").get(path.format(job=waiting().pk))
    assert answer.status_code == 400
    assert "This request was refused" in answer.content.decode()


@pytest.mark.parametrize("query", ["at_to=9999-12-31", "at_from=9999-12-31", "at_from=0001-01-01&at_to=0001-01-01"])
def test_the_ends_of_time_are_days_too(cast: Cast, query: str) -> None:
    page = shown(signed_in("viewer").get(f"{AUDIT_LOG}?{query}"))
    assert ("organization.create" in page) == (query == "at_to=9999-12-31") or "Nothing matches" in page


def test_who_signs_in_without_having_wanted_a_page_is_led_to_the_front_page() -> None:
    client = signed_in("viewer")
    assert client.get("/admin/login/")["Location"] == "/admin/"
