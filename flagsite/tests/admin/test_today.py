"""The top of the front page: what was changed today, what runs now, and what is killed, failing or stale."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from conftest import Cast
from flags.definitions import service
from flags.definitions.models import Flag
from flags.schedules.models import FlagSchedule
from flags.states.set_flag import set_flag
from flags.states.setting_rules import Below
from flagsite.admin_site import today
from flagsite.core import actor
from flagsite.core.db.clock import now
from flagsite.tests.admin.values import put
from jobs.engine import lifecycle
from jobs.tests.engine_steps import LONG_AGO, changed, claimed, lease_of
from orgs.audit import audit_log
from orgs.audit.models import AuditEntry
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
TODAY, LIVE = "/admin/overview/today/", "/admin/overview/"


def words(answer: Any) -> str:
    return " ".join(re.sub(r"<[^>]+>", "", shown(answer)).split())


def card(page: str, name: str) -> tuple[str, list[str], str]:
    """What a card says: the figure, the names, and the address of the list."""
    text = page.partition(f'id="card-{name}"')[2].partition("</li>")[0]
    names = re.findall(r'<a class="fs-link" href="[^"]*">([^<]*)</a>', text)
    return (re.findall(r"fs-figure[^>]*>([^<]*)<", text)[0], names, re.findall(r'href="([^"]*)"', text)[0])


def failed(cast: Cast, place: Any) -> int:
    job = claimed(organization_id=place.pk)
    lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no", permanent=True)
    return int(job.pk)


def test_the_front_page_begins_with_the_changes_of_today(cast: Cast) -> None:
    put(cast.oslo, "express-pay", False)
    page = shown(signed_in("viewer").get("/admin/"))
    assert page.index('id="today-title"') < page.index('id="running-title"') < page.index('id="queues-title"')
    assert "set express-pay off for Oslo" in words(signed_in("viewer", name="vic").get("/admin/"))


def test_changes_of_other_days_are_left_to_the_audit_log(cast: Cast) -> None:
    begin = now().replace(hour=0, minute=0, second=0, microsecond=0)
    columns = {"actor": "user:olga", "action": "queue.pause", "via": "api"}
    AuditEntry.objects.create(subject="queue:today", at=begin, **columns)
    AuditEntry.objects.create(subject="queue:yesterday", at=begin - timedelta(seconds=1), **columns)
    page = words(signed_in("viewer").get(TODAY))
    assert "olga paused the queue today" in page
    assert "yesterday" not in page
    assert f"at_from={begin:%Y-%m-%d}&amp;at_to={begin:%Y-%m-%d}" in shown(signed_in("viewer", name="vic").get(TODAY))


def test_a_day_without_changes_says_so(cast: Cast) -> None:
    assert "Nothing was changed today." in words(signed_in("viewer").get(TODAY))


def test_an_operation_is_one_line_and_ten_are_told(cast: Cast) -> None:
    with actor.acting("api", actor="user:olga", correlation_id="request-7"):
        for number in range(3):
            audit_log.record("job.retry", f"job:{number + 100}")
    for number in range(9):
        audit_log.record("queue.pause", f"queue:q{number}", by="user:ada")
    answer = signed_in("viewer").get(TODAY)
    assert len(answer.context["changes"]) == 10
    assert "olga retried job 102 and 2 more" in words(answer)
    assert "q=request-7" in shown(answer)
    audit_log.record("queue.pause", "queue:last", by="user:ada")
    assert "request-7" not in shown(signed_in("viewer", name="vic").get(TODAY))


def test_jobs_that_run_have_their_progress(cast: Cast) -> None:
    first = claimed(organization_id=cast.oslo.pk)
    changed(first, total=200, processed=50)
    claimed(organization_id=cast.rival.pk)
    page = shown(signed_in("viewer").get(LIVE))
    assert page.count('aria-label="Progress of job') == 2
    assert 'max="200" value="50"' in page
    assert "50 of 200" in page
    assert "Acme › North › Oslo" in page
    assert "No job runs." in shown(signed_in("viewer", bound_to=cast.south, name="sue").get(LIVE))
    bound = shown(signed_in("viewer", bound_to=cast.north, name="nora").get(LIVE))
    assert bound.count('aria-label="Progress of job') == 1
    assert "North › Oslo" in bound


def test_of_many_running_jobs_the_page_shows_the_longest(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(today, "MAX_RUNNING", 2)
    jobs = [claimed(organization_id=cast.oslo.pk) for _ in range(3)]
    changed(jobs[2], started_at=LONG_AGO)
    page = shown(signed_in("viewer").get(LIVE))
    assert re.findall(r"Progress of job (\d+)", page) == [str(jobs[2].pk), str(jobs[0].pk)]
    assert "All jobs that run" in page


def test_cards_name_what_is_killed_failing_or_stale(cast: Cast) -> None:
    for key in ("alive", "dead", "gone"):
        service.create(key=key, values={"killed": key != "alive"}, by="user:ada")
    service.archive(key="gone", by="user:ada")
    yesterday = now().date() - timedelta(days=2)
    Flag.objects.filter(key="alive").update(expires_on=yesterday)
    FlagSchedule.objects.create(flag=Flag.objects.get(key="alive"), flag_key="alive", organization_id=cast.oslo.pk,
                                wanted={"enabled": True}, scheduled_at=now(), status="failed")  # fmt: skip
    job, old = failed(cast, cast.oslo), failed(cast, cast.oslo)
    changed(type(claimed(organization_id=cast.oslo.pk)).objects.get(pk=old), created_at=LONG_AGO)
    client = signed_in("viewer")
    page = shown(client.get(TODAY)).replace("&amp;", "&")
    assert card(page, "killed")[:2] == ("1", ["dead"])
    assert card(page, "stale")[:2] == ("1", ["alive"])
    assert card(page, "failed-jobs")[0] == "1"
    assert card(page, "failed-jobs")[1][0].startswith(f"{job} ")
    assert card(page, "failed-schedules")[0] == "1"
    links = set(re.findall(r'href="([^"]*)"', page))
    assert {link: client.get(link).status_code for link in links} == dict.fromkeys(links, 200)


def test_the_card_of_locks_names_flags_and_organizations_in_the_scope(cast: Cast) -> None:
    for place, enabled in ((cast.north, False), (cast.rival, True)):
        set_flag(organization_id=place.pk, flag_key="express-pay", enabled=enabled, below=Below.LOCK)
    found = card(shown(signed_in("viewer").get(TODAY)), "locks")
    assert found[:2] == ("2", ["express-pay on for Rival", "express-pay off for North"])
    assert found[2] == "/admin/orgs/auditentry/?did=flag.lock"
    bound = shown(signed_in("viewer", bound_to=cast.oslo, name="nora").get(TODAY))
    assert card(bound, "locks")[0] == "0"


def test_a_card_names_five_and_counts_all(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(7):
        service.create(key=f"dead-{number}", values={"killed": True}, by="user:ada")
    found = card(shown(signed_in("viewer").get(TODAY)), "killed")
    assert found[:2] == ("7", [f"dead-{number}" for number in range(5)])
    monkeypatch.setattr(today, "MAX_COUNTED", 6)
    assert card(shown(signed_in("viewer", name="vic").get(TODAY)), "killed")[0] == "more than 6"


def test_a_bound_person_sees_only_what_concerns_the_subtree(cast: Cast) -> None:
    service.create(key="of-rival", values={"killed": True}, by="user:ada")
    put(cast.rival, "of-rival", True)
    failed(cast, cast.rival)
    put(cast.oslo, "express-pay", False)
    page = shown(signed_in("viewer", bound_to=cast.north).get(TODAY))
    assert "express-pay" in page
    assert "of-rival" not in page
    assert "Rival" not in page
    assert [card(page, name)[0] for name in ("killed", "failed-jobs", "failed-schedules")] == ["0", "0", "0"]


@pytest.mark.parametrize("bound", [False, True])
def test_more_changes_take_no_more_queries(cast: Cast, bound: bool, django_assert_max_num_queries: Any) -> None:
    client = signed_in("viewer", bound_to=cast.north if bound else None)
    counts = []
    for size in (2, 20):
        for number in range(size):
            put(cast.oslo, f"flag-{number}", number % 2 == 0)
            failed(cast, cast.oslo)
        with django_assert_max_num_queries(18) as queries:
            shown(client.get(TODAY))
        counts.append(len(queries))
    assert counts[0] == counts[1]
