"""Two ticking processes, sessions that are killed, processes that die: nothing is applied twice, nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import combinations
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, OperationalError, connection, transaction

from conftest import Cast
from flags.definitions.models import Flag
from flags.schedules import apply, due, schedule_operations
from flags.schedules.due import DueResult, apply_due
from flags.schedules.models import FlagSchedule
from flags.states.models import Change
from flags.tests.schedules.plans import as_of, pass_time, planned
from flags.tests.schedules.ticking_process import TickingProcess
from flagsite.core.db import transient_errors
from flagsite.core.db.clock import now
from jobs.tests.races.threads import WAITS_FOR_A_LOCK, Background
from orgs.audit.models import AuditEntry
from orgs.tree import locks
from orgs.tree.paths import path_ids_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ticking_process() -> Iterator[Callable[[], TickingProcess]]:
    started: list[TickingProcess] = []

    def start() -> TickingProcess:
        started.append(TickingProcess())
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.kill()


@contextmanager
def another_session() -> Iterator[psycopg.Connection[Any]]:
    """A connection beside Django's, whose transaction is committed at the end."""
    parameters = connection.get_connection_params()
    names = ("dbname", "user", "password", "host", "port")
    with psycopg.connect(**{name: parameters[name] for name in names if parameters.get(name)}) as other:
        yield other


@contextmanager
def tree_locked() -> Iterator[None]:
    """Somebody changes the tree meanwhile."""
    with another_session() as other:
        other.execute(locks.ALL_TREES_FOR_WRITING)
        yield


def kill_session(pid: int) -> None:
    """End a session from another, as an administrator or a failover does."""
    with another_session() as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


def own_session() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def wait_until_blocked(pid: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute(WAITS_FOR_A_LOCK, [pid])
            if cursor.fetchone() == (True,):
                return
        time.sleep(0.01)
    raise AssertionError("it never waited")


@pytest.mark.slow
def test_two_processes_apply_two_hundred_once_each_and_in_order(
    cast: Cast, ticking_process: Callable[[], TickingProcess]
) -> None:
    places = [cast.acme, cast.north, cast.oslo, cast.rome, cast.rival_store]
    flags = [Flag.objects.create(key=f"flag-{number}") for number in range(4)]
    beginning = now() - timedelta(hours=3)
    FlagSchedule.objects.bulk_create(
        FlagSchedule(
            flag=flags[number % 4], flag_key=flags[number % 4].key, organization=places[number // 4 % 5],
            wanted={"enabled": number // 20 % 2 == 0}, scheduled_at=beginning + timedelta(seconds=number * 37 % 200),
            created_by="x",
        )
        for number in range(200)
    )  # fmt: skip
    both = [ticking_process(), ticking_process()]
    with tree_locked():
        for each in both:
            each.begin()
        for each in both:  # each has one in work from now on, at the same time
            wait_until_blocked(each.session)
    results = [each.result() for each in both]
    assert sum(result["applied"] for result in results) == 200
    assert all(result["applied"] for result in results)
    done = list(FlagSchedule.objects.filter(status="applied", first_try=True).order_by("scheduled_at", "id"))
    assert len({schedule.change_number for schedule in done}) == Change.objects.count() == len(done) == 200
    assert AuditEntry.objects.filter(action="flag.set").count() == 200
    paths = {place.pk: set(path_ids_of(place.pk)) for place in places}
    for earlier, later in combinations(done, 2):
        here, there = earlier.organization_id, later.organization_id
        if earlier.flag_id == later.flag_id and (here in paths[there] or there in paths[here]):
            assert earlier.change_number < later.change_number


@pytest.mark.slow
def test_a_process_that_dies_in_the_middle_gives_back_what_it_had(
    cast: Cast, ticking_process: Callable[[], TickingProcess]
) -> None:
    schedule = planned(cast.oslo)
    dying = ticking_process()
    with tree_locked():
        dying.begin()
        wait_until_blocked(dying.session)
        dying.kill()
    assert as_of(schedule).status == "pending"
    deadline = time.monotonic() + 10
    while apply_due() != DueResult(applied=1):  # PostgreSQL finds out that the session is gone
        assert time.monotonic() < deadline
    assert as_of(schedule).first_try is True
    assert Change.objects.count() == 1


def test_what_another_has_in_work_is_left_to_it_and_so_is_what_comes_after(cast: Cast) -> None:
    planned(cast.oslo, ago=timedelta(minutes=2))
    planned(cast.oslo, enabled=False, ago=timedelta(minutes=1))
    elsewhere = planned(cast.rome)
    with transaction.atomic():
        assert due.claim_due()
        assert Background(apply_due).result() == DueResult(applied=1)
        assert as_of(elsewhere).status == "applied"
    assert apply_due() == DueResult(applied=2)


class SessionKilled:
    """set_flag, whose session is killed once, when all is written and nothing committed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = 1
        self._whole = apply.set_flag
        monkeypatch.setattr(apply, "set_flag", self)

    def __call__(self, **more: Any) -> Any:
        accepted = self._whole(**more)
        if self.left:
            self.left -= 1
            kill_session(own_session())
        return accepted


def test_a_failure_is_stored_though_the_session_was_killed_in_the_middle(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule, other = planned(cast.oslo, ago=timedelta(minutes=1)), planned(cast.rome)
    SessionKilled(monkeypatch)
    assert apply_due() == DueResult(applied=1, delayed=1)
    left = as_of(schedule)
    assert (left.status, left.retry_count, left.attempts, left.change_number) == ("failed", 0, 1, None)
    assert left.next_retry_at is not None
    assert "terminating connection" in left.last_error or "closed" in left.last_error
    assert as_of(other).status == "applied"
    assert list(Change.objects.values_list("organization_id", flat=True)) == [cast.rome.pk]
    pass_time(timedelta(minutes=3))
    assert apply_due() == DueResult(applied=1)
    assert (as_of(schedule).first_try, as_of(schedule).retry_count) == (False, 0)
    assert Change.objects.filter(organization=cast.oslo).count() == 1


def test_while_the_database_is_away_altogether_all_stays_as_it_was(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    schedule = planned(cast.oslo)
    SessionKilled(monkeypatch)

    def in_vain() -> None:
        connection.close()
        raise OperationalError("connection refused")

    with monkeypatch.context() as patch:
        patch.setattr(transient_errors, "reconnect", in_vain)
        with pytest.raises(DatabaseError):
            apply_due()
    assert (as_of(schedule).status, as_of(schedule).attempts) == ("pending", 0)
    assert not Change.objects.exists()
    assert apply_due() == DueResult(applied=1)
    assert as_of(schedule).first_try is True


def test_a_lock_that_is_not_to_be_had_is_a_failure_that_passes(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(due, "SET_LOCK_TIMEOUT", "SET LOCAL lock_timeout = '50ms'")
    schedule = planned(cast.oslo)
    with tree_locked():
        assert Background(apply_due).result() == DueResult(delayed=1)
    assert "lock timeout" in as_of(schedule).last_error
    assert as_of(schedule).next_retry_at is not None


def test_cancelling_waits_for_an_application_that_has_begun_and_then_comes_too_late(cast: Cast) -> None:
    schedule = planned(cast.oslo)
    with tree_locked():
        ticks = Background(apply_due)
        ticks.wait_until_blocked()
        cancels = Background(lambda: schedule_operations.cancel(schedule_id=schedule.pk, by="x"))
        cancels.wait_until_blocked()
    assert ticks.result() == DueResult(applied=1)
    with pytest.raises(schedule_operations.ScheduleNotCancellable):
        cancels.result()
    assert as_of(schedule).status == "applied"
