"""Evaluations are counted in memory, gather in the Redis-protocol server and end in the database, each once."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from redis.exceptions import ConnectionError as ServerAway

from conftest import Cast
from flags.lifetimes import gathering, uses
from flags.models import Flag, FlagUse, FlagUseTotal
from flags.serving import usage
from flags.serving.memory import NOWHERE, View
from flags.serving.states import NONE
from flags.tests.asking import Asking
from orgs.models import Organization

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_counted() -> Iterator[None]:
    def forget() -> None:
        with usage._flushing:  # a thread of an earlier test may be about to hand on what that one has counted
            gathering.client().delete(*gathering.ALL)
            usage._begin_anew()
            usage._away = False

    forget()
    yield
    forget()


@pytest.fixture
def flag() -> Flag:
    return Flag.objects.create(key="checkout")


def counted() -> dict[tuple[int, int], int]:
    return {(row.flag_id, row.organization_id): row.evaluations for row in FlagUse.objects.all()}


def view_of(organization: Organization) -> View:
    return View((organization.pk,), (organization.key,), NONE, 0)


def test_evaluations_end_in_the_database_with_their_last_time(cast: Cast, flag: Flag) -> None:
    for _ in range(3):
        usage.count(cast.oslo.pk, "checkout")
    usage.count_all(view_of(cast.oslo))
    usage.count(None, "checkout")
    usage.count_all(NOWHERE)
    assert usage.flush()
    assert FlagUse.objects.count() == 0
    assert uses.move() == 4
    assert counted() == {(flag.pk, cast.oslo.pk): 3, (flag.pk, 0): 1, (0, cast.oslo.pk): 1, (0, 0): 1}
    totals = {row.flag_id: row.evaluations for row in FlagUseTotal.objects.all()}
    assert totals == {flag.pk: 4, 0: 2}
    last = FlagUse.objects.get(flag_id=flag.pk, organization_id=cast.oslo.pk).last_evaluated_at
    assert timezone.now() - last < timedelta(seconds=10)


def test_what_was_moved_is_added_to_and_not_moved_again(cast: Cast, flag: Flag) -> None:
    for _ in range(2):
        usage.count(cast.oslo.pk, "checkout")
        usage.flush()
        assert uses.move() == 1
    assert uses.move() == 0
    assert counted() == {(flag.pk, cast.oslo.pk): 2}


def test_an_evaluation_of_all_flags_counts_also_where_the_answer_is_that_nothing_has_changed(
    cast: Cast, asking: Asking
) -> None:
    tag = asking.all(organizationId=cast.oslo.pk).headers["ETag"]
    assert asking.all(organizationId=cast.oslo.pk, headers={"If-None-Match": tag}).status == 304
    asking.all()
    usage.flush()
    uses.move()
    assert counted() == {(0, cast.oslo.pk): 2, (0, 0): 1}


def last_times(flag: Flag) -> set[datetime]:
    """When the flag was evaluated last, by organization and altogether."""
    rows = [*FlagUse.objects.filter(flag_id=flag.pk), *FlagUseTotal.objects.filter(flag_id=flag.pk)]
    return {row.last_evaluated_at for row in rows}


def test_an_evaluation_that_is_moved_late_does_not_take_back_the_last_time(cast: Cast, flag: Flag) -> None:
    for at in (2_000_000, 1_000_000):
        uses._add([gathering.Use(cast.oslo.pk, "checkout", 1, at)])
    assert last_times(flag) == {datetime.fromtimestamp(2_000_000, UTC)}


def test_no_evaluation_is_of_a_time_to_come_however_the_servers_clock_goes(cast: Cast, flag: Flag) -> None:
    ahead = timezone.now() + timedelta(days=2)
    uses._add([gathering.Use(cast.oslo.pk, "checkout", 1, int(ahead.timestamp()))])
    assert max(last_times(flag)) <= timezone.now()


def test_flags_that_do_not_exist_are_dropped(cast: Cast) -> None:
    usage.count(cast.oslo.pk, "no-such-flag")
    usage.flush()
    uses.move()
    assert counted() == {}


def test_counts_are_kept_while_the_server_is_away(cast: Cast, flag: Flag, settings: Any) -> None:
    server, settings.REDIS_URL = settings.REDIS_URL, "redis://127.0.0.1:1"
    usage.count(cast.oslo.pk, "checkout")
    assert not usage.flush()
    usage.count(cast.oslo.pk, "checkout")
    assert not usage.flush()
    settings.REDIS_URL = server
    assert usage.flush()
    uses.move()
    assert counted() == {(flag.pk, cast.oslo.pk): 2}


def test_without_the_server_memory_is_bounded(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1"
    monkeypatch.setattr(usage, "MOST", 10)
    for generation in range(3):
        for number in range(25):
            usage.count(generation * 100 + number, "checkout")
        assert len(usage._counts) == 10
        usage.flush()
    assert sum(usage._kept.values()) == len(usage._kept) == 10


def test_a_full_server_leaves_the_counts_with_the_processes(
    cast: Cast, flag: Flag, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as small:
        small.setattr(gathering, "MOST", 1)
        small.setattr(gathering, "AT_ONCE", 1)
        for organization in cast.of_acme:
            usage.count(organization.pk, "checkout")
        assert not usage.flush()
        assert len(usage._kept) == 4
    uses.move()
    assert usage.flush()
    uses.move()
    assert counted() == {(flag.pk, organization.pk): 1 for organization in cast.of_acme}


def test_a_move_that_fails_in_the_database_is_made_again(
    cast: Cast, flag: Flag, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage.count(cast.oslo.pk, "checkout")
    usage.flush()
    with monkeypatch.context() as broken:
        broken.setattr(uses, "ADD_TOTALS", "SELECT 1/0")
        with pytest.raises(Exception, match="division by zero"):
            uses.move()
    assert counted() == {}
    usage.count(cast.oslo.pk, "checkout")
    usage.flush()
    assert [uses.move(), uses.move(), uses.move()] == [1, 1, 0]
    assert counted() == {(flag.pk, cast.oslo.pk): 2}


def test_a_crash_between_commit_and_removal_loses_nothing(
    cast: Cast, flag: Flag, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage.count(cast.oslo.pk, "checkout")
    usage.flush()
    with monkeypatch.context() as dying:
        dying.setattr(gathering.client(), "delete", lambda *_: (_ for _ in ()).throw(ServerAway()))
        with pytest.raises(ServerAway):
            uses.move()
    gathering.client().delete(gathering.MOVER)
    uses.move()
    assert counted() == {(flag.pk, cast.oslo.pk): 2}, "counted twice, as documented, never lost"


def test_two_workers_do_not_move_the_same(cast: Cast, flag: Flag) -> None:
    usage.count(cast.oslo.pk, "checkout")
    usage.flush()
    with gathering.taken() as mine:
        assert len(mine) == 1
        assert uses.move() == 0


def test_no_count_is_lost_between_threads_and_flushes(cast: Cast, flag: Flag) -> None:
    each, ending = 20_000, threading.Event()
    views = [NOWHERE, view_of(cast.oslo), view_of(cast.rome)]

    def ask() -> None:
        for number in range(each):
            usage.count(number % 7 + 1, "checkout")
            usage.count_all(views[number % 3])

    def flush() -> None:
        while not ending.is_set():
            usage.flush()

    flushing = threading.Thread(target=flush)
    flushing.start()
    asking = [threading.Thread(target=ask) for _ in range(4)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    ending.set()
    flushing.join()
    usage.flush()
    uses.move()
    assert sum(counted().values()) == 2 * 4 * each


def test_a_thread_that_found_its_counter_before_a_flush_makes_its_step_after_it(cast: Cast, flag: Flag) -> None:
    steps = usage._counts[cast.oslo.pk, "checkout"]
    usage._counts.made_at -= 2 * usage.STEP_SECONDS
    usage.flush()
    next(steps)
    usage.flush()
    uses.move()
    assert counted() == {(flag.pk, cast.oslo.pk): 1}


def test_an_organization_that_keeps_its_steps_is_counted_through_every_change_of_counts(
    cast: Cast, flag: Flag, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "STEP_SECONDS", -1)  # counts change with each flush
    view, same = view_of(cast.oslo), view_of(cast.oslo)
    for _ in range(3):
        usage.count_all(view)
        usage.count_all(view)
        usage.count_all(same)
        usage.flush()
    usage.flush()
    uses.move()
    assert counted() == {(0, cast.oslo.pk): 9}


def test_an_organization_that_was_not_counted_for_lack_of_room_is_counted_when_there_is_some(
    cast: Cast, flag: Flag, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = view_of(cast.oslo)
    monkeypatch.setattr(usage, "MOST", 0)
    usage.count_all(view)
    monkeypatch.undo()
    usage.count_all(view)
    usage.flush()
    uses.move()
    assert counted() == {(0, cast.oslo.pk): 1}


def test_the_thread_hands_on_by_itself(cast: Cast, flag: Flag, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.FLAG_USAGE_SECONDS = 0.02
    monkeypatch.setattr(usage, "_started_in", 0)
    usage.count(cast.oslo.pk, "checkout")
    for _ in itertools.takewhile(lambda _: not gathering.client().exists(gathering.COUNTS), range(200)):
        threading.Event().wait(0.01)
    assert gathering.client().hgetall(gathering.COUNTS) == {f"{cast.oslo.pk}:checkout": "1"}


def test_a_forked_child_counts_its_own_and_not_what_its_parent_has_counted(cast: Cast, flag: Flag) -> None:
    usage.count(cast.oslo.pk, "checkout")
    child = os.fork()
    if child == 0:
        alright = False
        try:
            usage.count(cast.rome.pk, "checkout")
            alright = usage.flush()
        finally:
            os._exit(0 if alright else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert usage.flush()
    uses.move()
    assert counted() == {(flag.pk, cast.oslo.pk): 1, (flag.pk, cast.rome.pk): 1}
