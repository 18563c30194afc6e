"""Deleting a flag with all its states by a job: whatever comes in between, no row of it stays."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.db import transaction

from conftest import Cast
from flags.definitions import purge as purging
from flags.definitions import service
from flags.definitions.models import Flag
from flags.errors import FlagNotArchived, FlagPurging
from flags.schedules.models import FlagSchedule
from flags.states.models import Change, FlagState
from flags.states.set_flag import set_flag
from flags.tests.schedules.plans import planned
from flags.tests.states.stepping import SteppedWorker, pause_before_chunks
from jobs.engine import rescuer, runner
from jobs.engine.models import Job
from jobs.operations import job_operations
from jobs.tests.engine_steps import LONG_AGO, make_due, statuses
from jobs.tests.races.threads import Background
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of
from orgs.tree import locks, tree_operations
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db(transaction=True)
BASE = "/v1/feature-flags/f"


@pytest.fixture
def workers(
    monkeypatch: pytest.MonkeyPatch, set_smallest_chunk: Callable[[int], None]
) -> Iterator[tuple[SteppedWorker, SteppedWorker]]:
    """One that carries changes down and one that purges, each two organizations with a step."""
    pause_before_chunks(monkeypatch)
    set_smallest_chunk(2)
    monkeypatch.setattr(purging, "CHUNK_SIZE", 2)
    both = SteppedWorker("carrier", "propagation"), SteppedWorker("purger", "default")
    yield both
    for worker in both:
        worker.quit()


def put(organization: Organization, flag: str = "f", *, enabled: bool = True) -> None:
    set_flag(organization_id=organization.pk, flag_key=flag, enabled=enabled)


def carry() -> None:
    while runner.run_next("propagation"):
        pass


def purge() -> Job:
    """Archive the flag and purge it, in the order that is asked for."""
    if not Flag.objects.get(key="f").archived:
        service.archive(key="f", by="user:olga")
    return service.purge(key="f", by="user:olga", reason="over")


def ended(job: Job) -> Job:
    while runner.run_next("default"):
        pass
    job.refresh_from_db()
    return job


def nothing_is_left() -> bool:
    """Of the flag f; another flag has kept its rows."""
    known = set(Flag.objects.values_list("pk", flat=True))
    rows = set(FlagState.objects.values_list("flag_id", flat=True)) | set(
        Change.objects.values_list("flag_id", flat=True)
    )
    return not Flag.objects.filter(key="f").exists() and rows <= known


def test_states_changes_and_flag_go_and_others_stay(cast: Cast, admin_key: str) -> None:
    for flag in ("f", "other"):
        put(cast.acme, flag)
        put(cast.rival, flag)
    carry()
    api = Api(admin_key)
    assert api.delete(BASE).status_code == 200
    response = api.delete(f"{BASE}?purge=true")
    job = Job.objects.latest("id")
    assert (response.status_code, response["Location"]) == (202, f"/job-status/{job.pk}")
    assert response.json() == {
        "jobId": job.pk, "trackingUrl": f"/job-status/{job.pk}", "message": "The flag and its states are being deleted",
    }  # fmt: skip
    assert (job.kind, job.correlation_id) == ("purge", response["X-Request-ID"])
    done = ended(job)
    assert (done.status, done.processed, done.total) == ("COMPLETED", 8, 8)
    assert nothing_is_left()
    assert FlagState.objects.count() == 8
    assert Change.objects.count() == 2
    assert kind_of(api.get(BASE)) == "flag-not-found"
    actions = AuditEntry.objects.filter(subject="flag:f").order_by("id").values_list("action", flat=True)
    assert list(actions) == [
        "flag.create", "flag.set", "flag.set", "flag.archive", "flag.purge", "flag.purged",
    ]  # fmt: skip
    asked, done = (AuditEntry.objects.get(action=action).details for action in ("flag.purge", "flag.purged"))
    assert (asked["before"]["kind"], asked["before"]["archived"]) == ("release", True)
    assert (asked["before"], done["before"], done["after"]) == (asked["after"], asked["after"], None)
    assert api.get(f"/job-status/{job.pk}").json()["featureFlagName"] == "f"
    put(cast.oslo)
    assert FlagState.objects.count() == 9


def test_while_it_is_purged_a_flag_is_off_and_nothing_can_be_done_to_it(cast: Cast, admin_key: str) -> None:
    put(cast.oslo)
    service.create(key="other", values={}, by="user:olga")
    job = purge()
    api = Api(admin_key)
    assert api.get(f"{BASE}/check", organizationKey="oslo").json()["rule"] == "archived"
    for method, path, body, kind in (
        ("POST", f"/{cast.oslo.pk}/f/true", None, "flag-purging"),
        ("PATCH", BASE, {"archived": False}, "flag-purging"),
        ("PUT", BASE, {}, "flag-purging"),
        ("DELETE", BASE, None, "flag-purging"),
        ("POST", "/v1/feature-flags", {"name": "f"}, "flag-purging"),
        ("PATCH", "/v1/feature-flags/other", {"prerequisites": ["f"]}, "unknown-prerequisite"),
    ):
        assert kind_of(api.send(method, path, body)) == kind, (method, path)
    assert api.delete(f"{BASE}?purge=true").json()["jobId"] == job.pk
    assert Job.objects.filter(kind="purge").count() == 1


def test_what_others_need_is_not_purged(cast: Cast, admin_key: str) -> None:
    service.create(key="f", values={}, by="user:olga")
    for name in ("needy", "also-needy"):
        service.create(key=name, values={"prerequisites": ["f"]}, by="user:olga")
    service.archive(key="f", by="user:olga")
    response = Api(admin_key).delete(f"{BASE}?purge=true")
    assert (response.status_code, kind_of(response)) == (409, "flag-needed")
    assert response.json()["detail"].startswith("The flag is a prerequisite of also-needy, needy.")
    assert not Job.objects.exists()
    assert Flag.objects.filter(purging=True).count() == 0


def test_the_scheduled_changes_of_a_purged_flag_are_cancelled_and_no_others(cast: Cast) -> None:
    put(cast.acme)
    ahead = -timedelta(days=1)
    to_come = [planned(where, flag="f", ago=ahead) for where in (cast.oslo, None)]
    waiting = planned(cast.bergen, flag="f", ago=ahead)
    FlagSchedule.objects.filter(pk=waiting.pk).update(status="failed", next_retry_at=waiting.scheduled_at)
    other = planned(cast.oslo, flag="checkout", ago=ahead)
    with pytest.raises(FlagNotArchived):
        service.purge(key="f", by="user:olga")
    assert not FlagSchedule.objects.filter(status="cancelled").exists()
    purge()
    ended = FlagSchedule.objects.filter(status="cancelled")
    assert {one.pk for one in ended} == {one.pk for one in [*to_come, waiting]}
    assert {one.last_error for one in ended} == {"The flag was purged."}
    assert AuditEntry.objects.filter(action="flag-schedule.cancel", reason="The flag was purged.").count() == 3
    assert FlagSchedule.objects.get(pk=other.pk).status == "pending"


def test_a_live_flag_is_archived_before_it_is_purged(cast: Cast, admin_key: str) -> None:
    put(cast.oslo)
    response = Api(admin_key).delete(f"{BASE}?purge=true")
    assert (response.status_code, kind_of(response)) == (409, "flag-not-archived")
    assert "Archive it first" in response.json()["detail"]
    assert not Job.objects.exists()
    assert not Flag.objects.get().archived


def test_after_one_that_was_cancelled_another_goes_on(cast: Cast) -> None:
    put(cast.oslo)
    first = purge()
    version = Flag.objects.get().version
    job_operations.cancel(job_id=first.pk, by="user:olga")
    assert purge().pk != first.pk
    assert Flag.objects.get().version == version
    assert ended(first).status == "CANCELLED"
    assert nothing_is_left()


def test_a_worker_that_dies_in_the_middle_is_followed_by_one_that_comes_to_the_end(
    cast: Cast, workers: tuple[SteppedWorker, SteppedWorker]
) -> None:
    put(cast.acme)
    carry()
    job = purge()
    workers[1].start()
    workers[1].step(2)
    workers[1].kill()
    assert 0 < FlagState.objects.count() < 6
    Job.objects.filter(pk=job.pk).update(lease_expires_at=LONG_AGO)
    rescuer.rescue_and_wake()
    make_due()
    ended(job)
    assert statuses(job) == ["COMPLETED", "COMPLETED"]
    assert nothing_is_left()


def test_a_worker_that_dies_before_it_can_say_that_all_is_done_leaves_nothing_to_do(cast: Cast) -> None:
    put(cast.oslo)
    job = purge()
    Flag.objects.all().delete()
    FlagState.objects.all().delete()
    assert ended(job).status == "COMPLETED"


def test_a_propagation_that_is_under_way_leaves_no_rows_behind(
    cast: Cast, workers: tuple[SteppedWorker, SteppedWorker]
) -> None:
    carrier, purger = workers
    put(cast.acme)
    carried = Job.objects.get()
    carrier.start()
    carrier.step(1)
    purge()
    purger.start()
    purger.step(1)
    carrier.step(1)
    purger.finish()
    assert nothing_is_left()
    carrier.finish()
    assert nothing_is_left()
    carried.refresh_from_db()
    assert carried.status == "COMPLETED"


def test_a_chunk_that_is_being_written_is_waited_for(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its row is not committed, thus not seen, when the purge begins. Who writes meanwhile does not wait."""
    service.create(key="f", values={}, by="user:olga")
    waits, wait = threading.Event(), locks.wait_for_present_holders

    def tell(check: Callable[[], object]) -> None:
        check()
        waits.set()

    monkeypatch.setattr(locks, "wait_for_present_holders", lambda check: wait(lambda: tell(check)))
    with transaction.atomic():
        put(cast.oslo, "other")  # holds the tree lock shared, as every chunk
        with transaction.atomic():
            purging_worker = Background(lambda: (purge(), runner.run_next("default")))
            assert waits.wait(10)
        Background(lambda: put(cast.bergen, "another")).result()
        FlagState.objects.create(
            organization=cast.rome,
            flag_id=Flag.objects.get(key="f").pk,
            enabled=True,
            source=cast.rome,
            change_number=1,
        )
    purging_worker.result()
    assert nothing_is_left()


def test_organizations_that_come_or_move_meanwhile_take_nothing_over(
    cast: Cast, workers: tuple[SteppedWorker, SteppedWorker]
) -> None:
    put(cast.acme)
    put(cast.rival)
    carry()
    put(cast.acme, enabled=False)  # on its way still
    purge()
    workers[1].start()
    workers[1].step(1)
    born = tree_operations.create(name="n", key="n", parent_id=cast.rival.pk)
    tree_operations.move(organization_id=cast.north.pk, parent_id=cast.rival.pk)
    assert FlagState.objects.filter(organization=cast.rival).exists()
    assert not FlagState.objects.filter(organization__in=[born, cast.north]).exists()
    assert Change.objects.count() == 3
    workers[1].finish()
    assert nothing_is_left()
    assert not FlagState.objects.exists()


def test_a_set_that_is_accepted_first_is_purged_too(cast: Cast) -> None:
    service.create(key="f", values={}, by="user:olga")
    with transaction.atomic():
        put(cast.oslo)
        asking = Background(purge)
        asking.wait_until_blocked()
    asking.result()
    ended(Job.objects.get(kind="purge"))
    assert nothing_is_left()


def test_a_set_that_comes_second_is_refused(cast: Cast) -> None:
    service.create(key="f", values={}, by="user:olga")
    with transaction.atomic():
        purge()
        setting = Background(lambda: put(cast.oslo))
        setting.wait_until_blocked()
    with pytest.raises(FlagPurging):
        setting.result()
    assert not FlagState.objects.exists()


def test_a_job_for_a_flag_that_nobody_wants_purged_fails_for_good(cast: Cast) -> None:
    put(cast.oslo)
    job = purging.start(Flag.objects.get(), requested_by="user:olga", correlation_id="")
    assert ended(job).status == "FAILED"
    assert FlagState.objects.count() == 1


def test_a_new_flag_of_the_same_name_is_purged_by_a_job_of_its_own(cast: Cast) -> None:
    put(cast.oslo)
    first = purge()
    FlagState.objects.all().delete()
    Flag.objects.all().delete()  # the worker has done it, and dies before it can say so
    put(cast.rome)
    second = purge()
    assert second.pk != first.pk
    assert (ended(first).status, ended(second).status) == ("COMPLETED", "COMPLETED")
    assert nothing_is_left()
