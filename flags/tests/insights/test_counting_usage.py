"""Evaluations are counted in memory, gather in the Redis-protocol server and end in the database, each once."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from redis.exceptions import ConnectionError as ServerAway

from conftest import Cast, succeeds_in_child
from flags.client.evaluate import is_enabled
from flags.definitions.models import Flag
from flags.insights import usage_buffer, usage_store
from flags.insights.models import EnvironmentUseDay, FlagUse, FlagUseDay, FlagUseTotal
from flags.serving import usage_counter
from flags.serving.organization_snapshot import NO_ORGANIZATION, OrganizationSnapshot
from flags.serving.packed_states import NO_STATES
from flags.tests.serving.asking import Asking
from jobs.operations import cleanup
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Count in hashes of this test alone: a server process of another test may hand on its counts at any time."""
    for name in ("COUNTS", "TIMES", "MOVING_COUNTS", "MOVING_TIMES", "MOVER"):
        monkeypatch.setattr(usage_buffer, name, f"{getattr(usage_buffer, name)}:counting")
    own = [usage_buffer.COUNTS, usage_buffer.TIMES, usage_buffer.MOVING_COUNTS, usage_buffer.MOVING_TIMES]

    def forget() -> None:
        with usage_counter._flushing:  # a thread of an earlier test may be about to hand on what that one has counted
            usage_buffer.client().delete(*own, usage_buffer.MOVER)
            usage_counter.forget_counts()
            usage_counter._away = False

    forget()
    yield
    forget()


@pytest.fixture
def flag() -> Flag:
    return Flag.objects.create(key="checkout")


def counted() -> dict[tuple[int, int], int]:
    return {(row.flag_id, row.organization_id): row.evaluations for row in FlagUse.objects.all()}


def snapshot_of(organization: Organization) -> OrganizationSnapshot:
    return OrganizationSnapshot((organization.pk,), (organization.key,), NO_STATES, 0)


def test_evaluations_end_in_the_database_with_their_last_time(cast: Cast, flag: Flag) -> None:
    for _ in range(3):
        usage_counter.count(cast.oslo.pk, "checkout", "")
    usage_counter.count_all(snapshot_of(cast.oslo), "")
    usage_counter.count(None, "checkout", "")
    usage_counter.count_all(NO_ORGANIZATION, "")
    assert usage_counter.flush()
    assert FlagUse.objects.count() == 0
    assert usage_store.store_buffered_usage() == 4
    assert counted() == {(flag.pk, cast.oslo.pk): 3, (flag.pk, 0): 1, (0, cast.oslo.pk): 1, (0, 0): 1}
    totals = {row.flag_id: row.evaluations for row in FlagUseTotal.objects.all()}
    assert totals == {flag.pk: 4, 0: 2}
    last = FlagUse.objects.get(flag_id=flag.pk, organization_id=cast.oslo.pk).last_evaluated_at
    assert timezone.now() - last < timedelta(seconds=10)


def test_what_was_moved_is_added_to_and_not_moved_again(cast: Cast, flag: Flag) -> None:
    for _ in range(2):
        usage_counter.count(cast.oslo.pk, "checkout", "")
        usage_counter.flush()
        assert usage_store.store_buffered_usage() == 1
    assert usage_store.store_buffered_usage() == 0
    assert counted() == {(flag.pk, cast.oslo.pk): 2}


def test_evaluations_count_for_their_day_in_utc(cast: Cast, flag: Flag) -> None:
    late = datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)
    for at, evaluations in ((late, 2), (late + timedelta(seconds=1), 5), (late, 3)):
        usage_store._add([usage_buffer.BufferedUsage(cast.oslo.pk, "checkout", evaluations, int(at.timestamp()))])
    days = FlagUseDay.objects.filter(flag_id=flag.pk, organization_id=cast.oslo.pk).order_by("day")
    assert [(str(row.day), row.evaluations) for row in days] == [("2026-03-01", 5), ("2026-03-02", 5)]


def test_the_clean_up_deletes_the_usage_of_old_days_alone(cast: Cast, flag: Flag, settings: Any) -> None:
    settings.FLAG_USAGE_KEEP_DAYS = 3
    today = timezone.now().astimezone(UTC).date()
    for age in range(6):
        FlagUseDay.objects.create(
            day=today - timedelta(days=age), organization_id=cast.oslo.pk, flag_id=flag.pk, evaluations=1
        )
    assert cleanup.old_jobs().others["usageDays"] == 2
    assert usage_store.OLD_DAYS.delete_some(None, None) == (None, 2)
    assert FlagUseDay.objects.order_by("day").values_list("day", flat=True)[0] == today - timedelta(days=3)


def test_an_evaluation_of_all_flags_counts_also_where_the_answer_is_that_nothing_has_changed(
    cast: Cast, asking: Asking
) -> None:
    tag = asking.all(organizationId=cast.oslo.pk).headers["ETag"]
    assert asking.all(organizationId=cast.oslo.pk, headers={"If-None-Match": tag}).status == 304
    asking.all()
    usage_counter.flush()
    usage_store.store_buffered_usage()
    assert counted() == {(0, cast.oslo.pk): 2, (0, 0): 1}


def last_times(flag: Flag) -> set[datetime]:
    """When the flag was evaluated last, by organization and altogether."""
    rows = [*FlagUse.objects.filter(flag_id=flag.pk), *FlagUseTotal.objects.filter(flag_id=flag.pk)]
    return {row.last_evaluated_at for row in rows}


def test_an_evaluation_that_is_moved_late_does_not_take_back_the_last_time(cast: Cast, flag: Flag) -> None:
    for at in (2_000_000, 1_000_000):
        usage_store._add([usage_buffer.BufferedUsage(cast.oslo.pk, "checkout", 1, at)])
    assert last_times(flag) == {datetime.fromtimestamp(2_000_000, UTC)}


def test_no_evaluation_is_of_a_time_to_come_however_the_servers_clock_goes(cast: Cast, flag: Flag) -> None:
    ahead = timezone.now() + timedelta(days=2)
    usage_store._add([usage_buffer.BufferedUsage(cast.oslo.pk, "checkout", 1, int(ahead.timestamp()))])
    assert max(last_times(flag)) <= timezone.now()


def test_flags_that_do_not_exist_are_dropped(cast: Cast) -> None:
    usage_counter.count(cast.oslo.pk, "no-such-flag", "")
    usage_counter.flush()
    usage_store.store_buffered_usage()
    assert counted() == {}


def test_counts_are_kept_while_the_server_is_away(cast: Cast, flag: Flag, settings: Any) -> None:
    server, settings.REDIS_URL = settings.REDIS_URL, "redis://127.0.0.1:1"
    usage_counter.count(cast.oslo.pk, "checkout", "")
    assert not usage_counter.flush()
    usage_counter.count(cast.oslo.pk, "checkout", "")
    assert not usage_counter.flush()
    settings.REDIS_URL = server
    assert usage_counter.flush()
    usage_store.store_buffered_usage()
    assert counted() == {(flag.pk, cast.oslo.pk): 2}


def test_without_the_server_memory_is_bounded(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1"
    monkeypatch.setattr(usage_counter, "MOST", 10)
    for generation in range(3):
        for number in range(25):
            usage_counter.count(generation * 100 + number, "checkout", "")
        assert len(usage_counter._counts) == 10
        usage_counter.flush()
    assert sum(usage_counter._kept.values()) == len(usage_counter._kept) == 10


def test_a_full_server_leaves_the_counts_with_the_processes(
    cast: Cast, flag: Flag, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as small:
        small.setattr(usage_buffer, "MAX_PAIRS", 1)
        small.setattr(usage_buffer, "BATCH_SIZE", 1)
        for organization in cast.of_acme:
            usage_counter.count(organization.pk, "checkout", "")
        assert not usage_counter.flush()
        assert len(usage_counter._kept) == 4
    usage_store.store_buffered_usage()
    assert usage_counter.flush()
    usage_store.store_buffered_usage()
    assert counted() == {(flag.pk, organization.pk): 1 for organization in cast.of_acme}


def test_a_move_that_fails_in_the_database_is_made_again(
    cast: Cast, flag: Flag, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage_counter.count(cast.oslo.pk, "checkout", "")
    usage_counter.flush()
    with monkeypatch.context() as broken:
        broken.setattr(usage_store, "ADD_TOTALS", "SELECT 1/0")
        with pytest.raises(Exception, match="division by zero"):
            usage_store.store_buffered_usage()
    assert counted() == {}
    usage_counter.count(cast.oslo.pk, "checkout", "")
    usage_counter.flush()
    assert [
        usage_store.store_buffered_usage(),
        usage_store.store_buffered_usage(),
        usage_store.store_buffered_usage(),
    ] == [1, 1, 0]
    assert counted() == {(flag.pk, cast.oslo.pk): 2}


def test_a_crash_between_commit_and_removal_loses_nothing(
    cast: Cast, flag: Flag, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage_counter.count(cast.oslo.pk, "checkout", "")
    usage_counter.flush()
    with monkeypatch.context() as dying:
        dying.setattr(usage_buffer.client(), "delete", lambda *_: (_ for _ in ()).throw(ServerAway()))
        with pytest.raises(ServerAway):
            usage_store.store_buffered_usage()
    usage_buffer.client().delete(usage_buffer.MOVER)
    usage_store.store_buffered_usage()
    assert counted() == {(flag.pk, cast.oslo.pk): 2}, "counted twice, as documented, never lost"


def test_two_workers_do_not_move_the_same(cast: Cast, flag: Flag) -> None:
    usage_counter.count(cast.oslo.pk, "checkout", "")
    usage_counter.flush()
    with usage_buffer.taken() as mine:
        assert [use.organization_id for use in mine if use.environment is None] == [cast.oslo.pk]
        assert usage_store.store_buffered_usage() == 0


def test_no_count_is_lost_between_threads_and_flushes(cast: Cast, flag: Flag) -> None:
    each, ending = 20_000, threading.Event()
    views = [NO_ORGANIZATION, snapshot_of(cast.oslo), snapshot_of(cast.rome)]

    def ask() -> None:
        for number in range(each):
            usage_counter.count(number % 7 + 1, "checkout", "")
            usage_counter.count_all(views[number % 3], "")

    def flush() -> None:
        while not ending.is_set():
            usage_counter.flush()

    flushing = threading.Thread(target=flush)
    flushing.start()
    asking = [threading.Thread(target=ask) for _ in range(4)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    ending.set()
    flushing.join()
    usage_counter.flush()
    usage_store.store_buffered_usage()
    assert sum(counted().values()) == 2 * 4 * each


def test_a_thread_that_found_its_counter_before_a_flush_makes_its_step_after_it(cast: Cast, flag: Flag) -> None:
    steps = usage_counter._counts[cast.oslo.pk, "checkout", ""]
    usage_counter._counts.made_at -= 2 * usage_counter.STEP_SECONDS
    usage_counter.flush()
    next(steps)
    usage_counter.flush()
    usage_store.store_buffered_usage()
    assert counted() == {(flag.pk, cast.oslo.pk): 1}


def test_an_organization_that_keeps_its_steps_is_counted_through_every_change_of_counts(
    cast: Cast, flag: Flag, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_counter, "STEP_SECONDS", -1)  # counts change with each flush
    view, same = snapshot_of(cast.oslo), snapshot_of(cast.oslo)
    for _ in range(3):
        usage_counter.count_all(view, "")
        usage_counter.count_all(view, "")
        usage_counter.count_all(same, "")
        usage_counter.flush()
    usage_counter.flush()
    usage_store.store_buffered_usage()
    assert counted() == {(0, cast.oslo.pk): 9}


def test_an_organization_that_was_not_counted_for_lack_of_room_is_counted_when_there_is_some(
    cast: Cast, flag: Flag, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = snapshot_of(cast.oslo)
    with monkeypatch.context() as full:
        full.setattr(usage_counter, "MOST", 0)
        usage_counter.count_all(view, "")
    usage_counter.count_all(view, "")
    usage_counter.flush()
    usage_store.store_buffered_usage()
    assert counted() == {(0, cast.oslo.pk): 1}


def test_the_service_hands_on_by_itself(cast: Cast, flag: Flag, settings: Any) -> None:
    settings.FLAG_USAGE_SECONDS = 0.02
    usage_counter.count(cast.oslo.pk, "checkout", "")
    service = usage_counter.UsageFlush()
    service.start()
    for _ in itertools.takewhile(lambda _: usage_buffer.client().hlen(usage_buffer.COUNTS) < 2, range(200)):
        threading.Event().wait(0.01)
    assert usage_buffer.client().hgetall(usage_buffer.COUNTS) == {f"{cast.oslo.pk}:checkout": "1", ":@": "1"}
    service.stop()


def test_a_forked_child_counts_its_own_and_not_what_its_parent_has_counted(cast: Cast, flag: Flag) -> None:
    usage_counter.count(cast.oslo.pk, "checkout", "")

    def count_in_child() -> bool:
        usage_counter.count(cast.rome.pk, "checkout", "")
        return usage_counter.flush()

    assert succeeds_in_child(count_in_child)
    assert usage_counter.flush()
    usage_store.store_buffered_usage()
    assert counted() == {(flag.pk, cast.oslo.pk): 1, (flag.pk, cast.rome.pk): 1}


def by_environment() -> dict[str, int]:
    usage_counter.flush()
    usage_store.store_buffered_usage()
    return dict(EnvironmentUseDay.objects.values_list("environment", "evaluations"))


def test_evaluations_are_counted_by_environment_too_each_once(
    cast: Cast, flag: Flag, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_counter, "_names", {"", usage_buffer.OTHER_ENVIRONMENTS})
    asking.one("checkout", environment="production", organizationId=cast.oslo.pk)
    asking.one("checkout", environment="staging", organizationId=cast.oslo.pk)
    asking.one("checkout", organizationId=cast.oslo.pk)
    tag = asking.all(environment="production", organizationId=cast.oslo.pk).headers["ETag"]
    for _ in range(2):
        again = asking.all(environment="production", organizationId=cast.oslo.pk, headers={"If-None-Match": tag})
        assert again.status == 304
    asking.all(environment="staging", organizationId=cast.oslo.pk)
    is_enabled("checkout", organization=cast.oslo, environment="staging")
    assert by_environment() == {"production": 4, "staging": 3, "": 1}
    assert counted() == {(flag.pk, cast.oslo.pk): 4, (0, cast.oslo.pk): 4}


def test_an_organization_that_is_asked_for_in_two_environments_in_turn_is_counted_in_both(cast: Cast) -> None:
    view = snapshot_of(cast.oslo)
    for _ in range(3):
        for environment in ("production", "staging"):
            usage_counter.count_all(view, environment)
    assert by_environment() == {"production": 3, "staging": 3}


@pytest.mark.parametrize("name", ["two words", "x" * 65, "-", "é", "*a"])
def test_what_is_no_name_of_an_environment_counts_with_the_others(cast: Cast, flag: Flag, name: str) -> None:
    for _ in range(2):
        usage_counter.count(cast.oslo.pk, "checkout", name)
    assert by_environment() == {"*": 2}
    assert counted() == {(flag.pk, cast.oslo.pk): 2}


def test_callers_who_send_ever_new_names_fill_neither_memory_nor_the_database(
    cast: Cast, flag: Flag, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_counter, "MOST_ENVIRONMENTS", 5)
    monkeypatch.setattr(usage_counter, "_names", {"", "*"})
    monkeypatch.setattr(usage_store, "MAX_ENVIRONMENTS", 2)
    for number in range(50):
        usage_counter.count(cast.oslo.pk, "checkout", f"made-up-{number}")
    assert len(usage_counter._counts) == 4
    found = by_environment()
    assert sum(found.values()) == 50
    assert len(found) == 3
    assert found["*"] == 48


def test_the_clean_up_deletes_the_evaluations_by_environment_of_old_days(db: None, settings: Any) -> None:
    settings.FLAG_USAGE_KEEP_DAYS = 3
    today = timezone.now().astimezone(UTC).date()
    for age in (2, 5):
        EnvironmentUseDay.objects.create(day=today - timedelta(days=age), environment="staging", evaluations=1)
    usage_store.OLD_DAYS.delete_some(None, None)
    assert EnvironmentUseDay.objects.get().day == today - timedelta(days=2)


def test_names_are_kept_while_the_server_is_away(cast: Cast, flag: Flag, settings: Any) -> None:
    server, settings.REDIS_URL = settings.REDIS_URL, "redis://127.0.0.1:1"
    usage_counter.count(cast.oslo.pk, "checkout", "staging")
    assert not usage_counter.flush()
    settings.REDIS_URL = server
    assert by_environment() == {"staging": 1}
