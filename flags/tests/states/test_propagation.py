"""A flag set on a parent is written to every organization below, once, by the highest number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from django.db import OperationalError, connection

from conftest import Cast
from flags.states import propagation, sql
from flags.states.models import Change, FlagState
from flags.states.set_flag import AcceptedChange, set_flag
from flags.tests.states import faults
from jobs.engine import runner
from jobs.engine.models import Job, JobFailure
from jobs.operations import job_operations
from orgs.tests.replacing import replaced
from orgs.tree import tree_operations
from orgs.tree.models import Organization
from orgs.tree.subtrees import Subtree

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("wake_ups")]


@pytest.fixture
def refusing(db: None) -> Iterator[None]:
    with faults.refusals():
        yield


def _set(organization: Organization, enabled: bool, flag: str = "checkout") -> AcceptedChange:
    return set_flag(organization_id=organization.pk, flag_key=flag, enabled=enabled)


def _carry_out(job: Job | None) -> Job:
    assert job is not None
    assert runner.run_next("propagation") is not None
    job.refresh_from_db()
    return job


def _states(organizations: list[Organization]) -> set[tuple[bool, int, int]]:
    found = FlagState.objects.filter(organization__in=organizations)
    assert len(found) == len(organizations)
    return {(state.enabled, state.source_id, state.change_number) for state in found}


def _versions() -> dict[int, str]:
    """Which version of its row each organization has; a write makes another."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT organization_id, ctid::text FROM flags_flagstate")
        return dict(cursor.fetchall())


def test_a_parents_flag_reaches_everyone_below_and_nobody_else(cast: Cast) -> None:
    accepted = _set(cast.acme, True)
    job = _carry_out(accepted.job)
    assert (job.status, job.total, job.processed, job.failed, job.superseded) == ("COMPLETED", 6, 6, 0, 0)
    assert _states(cast.of_acme) == {(True, cast.acme.pk, accepted.change.number)}
    assert FlagState.objects.count() == 6


def test_a_leafs_flag_is_written_at_once(cast: Cast) -> None:
    accepted = _set(cast.oslo, True)
    assert accepted.job is None
    assert _states([cast.oslo]) == {(True, cast.oslo.pk, accepted.change.number)}


def test_an_older_change_leaves_newer_rows_alone(cast: Cast) -> None:
    older = _set(cast.acme, True)
    newer = _set(cast.oslo, False)
    before = _versions()
    job = _carry_out(older.job)
    assert (job.processed, job.superseded) == (6, 1)
    assert _states([cast.oslo]) == {(False, cast.oslo.pk, newer.change.number)}
    assert _versions()[cast.oslo.pk] == before[cast.oslo.pk], "a row that does not change is not written"


def test_of_two_opposite_changes_the_later_accepted_wins_whichever_runs_last(cast: Cast) -> None:
    older, newer = _set(cast.acme, True), _set(cast.acme, False)
    assert newer.job is not None
    Job.objects.filter(pk=newer.job.pk).update(priority=9)
    assert _carry_out(newer.job).superseded == 0
    job = _carry_out(older.job)
    assert (job.status, job.processed, job.superseded) == ("COMPLETED", 6, 6)
    assert job.error_message == "Every organization already had the value of a newer change; nothing was written."
    assert _states(cast.of_acme) == {(False, cast.acme.pk, newer.change.number)}


def test_a_job_that_is_run_again_writes_nothing_again(cast: Cast) -> None:
    job = _carry_out(_set(cast.acme, True).job)
    before = _versions()
    with connection.cursor() as cursor:  # as if its end had never been recorded
        cursor.execute("ALTER TABLE jobs_job DISABLE TRIGGER USER")
        cursor.execute(
            "UPDATE jobs_job SET status = 'PENDING', ended_as = '', checkpoint = NULL, processed = 0 WHERE id = %s",
            [job.pk],
        )
        cursor.execute("ALTER TABLE jobs_job ENABLE TRIGGER USER")
    again = _carry_out(job)
    assert (again.processed, again.superseded) == (6, 0)
    assert _versions() == before


def test_those_that_had_the_value_before_are_counted_apart(cast: Cast) -> None:
    _carry_out(_set(cast.north, True).job)
    job = _carry_out(_set(cast.acme, True).job)
    assert (job.processed, job.unchanged, job.superseded) == (6, 3, 0)
    assert _states(cast.of_acme) == {(True, cast.acme.pk, Change.objects.latest("number").number)}


def test_those_with_a_newer_value_are_not_counted_as_unchanged(cast: Cast) -> None:
    accepted = _set(cast.acme, True)
    Job.objects.update(priority=-1)
    _carry_out(_set(cast.north, True).job)
    job = _carry_out(accepted.job)
    assert (job.processed, job.unchanged, job.superseded) == (6, 0, 3)


def test_chunks_are_about_one_per_cent_but_ten_organizations_at_least(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    written = sql.write_decided

    def noted(subtree: Subtree, span: sql.Span, *more: object, **named: object) -> sql.Written:
        sizes.append(span.count)
        return written(subtree, span, *more, **named)

    monkeypatch.setattr(sql, "write_decided", noted)
    monkeypatch.setattr(propagation, "MIN_CHUNK_SECONDS", 0)
    for number in range(24):
        tree_operations.create(name="Store", key=f"store-{number}", parent_id=cast.north.pk)
    _carry_out(_set(cast.acme, True).job)
    assert sizes == [10, 10, 10]


def test_rows_that_come_after_many_without_one_are_found_nevertheless(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a whole chunk had no rows the next is written as if it had none either."""
    monkeypatch.setattr(propagation, "MIN_CHUNK_SECONDS", 0)
    stores = [tree_operations.create(name="Store", key=f"store-{n}", parent_id=cast.north.pk) for n in range(24)]
    _set(stores[15], False)
    _set(stores[16], True)
    accepted = _set(cast.acme, True)
    newer = _set(stores[17], False)
    job = _carry_out(accepted.job)
    assert (job.processed, job.unchanged, job.superseded, job.failed) == (30, 1, 1, 0)
    others = [store for store in stores if store != stores[17]]
    assert _states([*cast.of_acme, *others]) == {(True, cast.acme.pk, accepted.change.number)}
    assert _states([stores[17]]) == {(False, stores[17].pk, newer.change.number)}


def test_an_organization_at_fault_is_recorded_and_the_others_go_through(cast: Cast, refusing: None) -> None:
    faults.refuse(cast.bergen.pk)
    job = _carry_out(_set(cast.acme, True).job)
    assert (job.status, job.processed, job.failed) == ("COMPLETED", 5, 1)
    refused = f"organization {cast.bergen.pk} is refused"
    assert job.error_message == f"1 of 6 organizations failed; the first (id {cast.bergen.pk}): {refused}"
    failure = JobFailure.objects.get()
    assert (failure.job_id, failure.organization_id, failure.error) == (job.pk, cast.bergen.pk, refused)
    assert FlagState.objects.count() == 5


def test_a_manual_retry_covers_just_those_that_failed_and_keeps_the_number(cast: Cast, refusing: None) -> None:
    faults.refuse(cast.bergen.pk, cast.rome.pk)
    accepted = _set(cast.acme, True)
    job = _carry_out(accepted.job)
    faults.refuse()
    again = _carry_out(job_operations.retry(job_id=job.pk, by="somebody"))
    assert (again.status, again.total, again.processed) == ("COMPLETED", 2, 2)
    assert _states(cast.of_acme) == {(True, cast.acme.pk, accepted.change.number)}


def test_a_job_in_which_every_organization_failed_is_a_failure(cast: Cast, refusing: None) -> None:
    faults.refuse(*(organization.pk for organization in cast.of_acme))
    job = _carry_out(_set(cast.acme, True).job)
    assert (job.status, job.processed, job.failed) == ("RETRYING", 0, 6)
    for _ in range(3):
        Job.objects.filter(status="PENDING").update(run_at="2000-01-01T00:00:00Z")
        runner.run_next("propagation")
    job.refresh_from_db()
    assert job.status == "FAILED"
    assert job.error_message is not None
    assert job.error_message.startswith("All 6 organizations failed; the first (id ")


def test_a_lost_connection_in_the_middle_of_a_chunk_counts_nothing_twice(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, cuts = sql.write_decided, [1, 2]

    def cut_off(*arguments: object, **named: object) -> sql.Written:
        count = written(*arguments, **named)
        if cuts:
            cuts.pop()
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return count

    monkeypatch.setattr(sql, "write_decided", cut_off)
    job = _carry_out(_set(cast.acme, True).job)
    assert not cuts
    assert (job.status, job.total, job.processed, job.failed) == ("COMPLETED", 6, 6, 0)
    assert len(_states(cast.of_acme)) == 1


def test_a_passing_error_does_not_split_the_chunk(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    written, troubles, sizes = sql.write_decided, ["deadlock detected"], []

    def troubled(subtree: Subtree, span: sql.Span, *more: object, **named: object) -> sql.Written:
        sizes.append(span.count)
        if troubles:
            raise OperationalError(troubles.pop())
        return written(subtree, span, *more, **named)

    monkeypatch.setattr(sql, "write_decided", troubled)
    assert _carry_out(_set(cast.acme, True).job).failed == 0
    assert sizes == [6, 6]


def test_a_job_for_an_organization_that_is_gone_has_nothing_left_to_do(cast: Cast) -> None:
    accepted = _set(cast.acme, True)
    tree_operations.delete(organization_id=cast.acme.pk, subtree=True)
    with structlog.testing.capture_logs() as lines:
        job = _carry_out(accepted.job)
    assert (job.status, job.retry_count) == ("COMPLETED", 0)
    assert job.error_message == propagation.ORGANIZATION_DELETED
    assert {line["log_level"] for line in lines} == {"info"}


def test_a_job_for_a_flag_that_is_gone_has_nothing_left_to_do(cast: Cast) -> None:
    accepted = _set(cast.acme, True)
    Change.objects.all().delete()
    job = _carry_out(accepted.job)
    words = "The flag was deleted in the meantime, so nothing is left to do."
    assert (job.status, job.error_message) == ("COMPLETED", words)


def test_a_flip_touches_no_index(cast: Cast) -> None:
    _carry_out(_set(cast.acme, True).job)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT pg_stat_reset_single_table_counters('flags_flagstate'::regclass)")
    _carry_out(_set(cast.acme, False).job)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'flags_flagstate'")
        assert cursor.fetchone() == (6, 6)


@pytest.mark.parametrize("organizations", [30, 3000])
@pytest.mark.parametrize("analyzed", ["", "orgs_organization", "orgs_organization, flags_flagstate"])
def test_rows_are_locked_in_the_order_of_their_key(cast: Cast, organizations: int, analyzed: str) -> None:
    """Whatever the statistics say, the plan walks the key; a join could go another way, or take very long."""
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT pg_advisory_xact_lock(7260142)")
        cursor.execute(
            """
            INSERT INTO orgs_organization (name, key, parent_id, tree_id, lft, rght, level, descendant_count)
            SELECT 'x', 'x' || n, %s, 99, 2 * n, 2 * n + 1, 1, 0 FROM generate_series(1, %s) n
            """,
            [cast.acme.pk, organizations],
        )
        cursor.execute(
            """
            INSERT INTO flags_flagstate (organization_id, flag_id, enabled, source_id, change_number, updated_at)
            SELECT id, 1, true, id, 0, now() FROM orgs_organization ORDER BY random()
            """
        )
        if analyzed:
            cursor.execute(f"ANALYZE {analyzed}")
        sql.begin_chunk(0)
        bounds = {"tree_id": 99, "lft": 1, "rght": 2 * organizations + 2}
        values: dict[str, Any] = {
            "flag_id": 1,
            "enabled": False,
            "source_id": 1,
            "locked": False,
            "variant": 0,
            "number": 5,
            "job_id": 1,
            "notification": "{}",
            "rewritten": "{}",
            "count": 1,
        }
        span = {"after": 0, "last": 2**40}
        cursor.execute("EXPLAIN " + replaced(sql.UPDATE_SPAN, "{had_it}", sql.HAD_IT), {**bounds, **values, **span})
        plan = "\n".join(line for (line,) in cursor.fetchall())
        cursor.execute("ROLLBACK")
    for other in ("Hash", "Join", "Nested Loop", "Seq Scan", "Bitmap"):
        assert other not in plan
    assert "flags_flagstate_pkey" in plan
