"""Whatever happens to workers and jobs, values end as if each request had been carried out at once.

The machine sends requests (create, move, delete, set, retry) one after another, while two workers carry the jobs
down chunk by chunk, are killed, lose their leases, are stopped, and while the database refuses some organizations.
When at last everything has ended well, each row equals the naive model's: value, source and number.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import ClassVar

import pytest
from django.db import connection, transaction
from django.db.models import QuerySet
from django.test import override_settings
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from flags.definitions.models import Flag
from flags.errors import FlagLocked
from flags.states import propagation
from flags.states.expected_states import Difference, differences
from flags.states.models import FlagSetting, FlagState
from flags.states.set_flag import AcceptedChange, reset_flag_on, set_flag
from flags.states.setting_rules import Below
from flags.tests.states import faults
from flags.tests.states.naive import Decision, Holds, NaiveModel
from flags.tests.states.stepping import SteppedWorker, pause_before_chunks
from jobs.engine import rescuer, stop_request
from jobs.engine.chains import chain_of
from jobs.engine.models import Job
from jobs.engine.states import OPEN, Status
from jobs.errors import NotRetryable
from jobs.operations import job_operations
from jobs.operations.enqueue import enqueue
from jobs.operations.selection import Selection
from orgs.errors import MoveUnderOwnDescendant
from orgs.tree import integrity, locks, tree_operations
from orgs.tree.models import Organization

MOST_ORGANIZATIONS = 10
TABLES = (
    "test_refused",
    "flags_change",
    "flags_flagsetting",
    "flags_flagstate",
    "jobs_jobfailure",
    "jobs_job",
    "orgs_organization",
)
TREES = """
INSERT INTO orgs_organization (name, key, parent_id, tree_id, lft, rght, level, descendant_count)
VALUES ('a', 'a', NULL, 1, 1, 10, 0, 4), ('x', 'x', NULL, 2, 1, 6, 0, 2);
INSERT INTO orgs_organization (name, key, parent_id, tree_id, lft, rght, level, descendant_count)
SELECT child.name, child.name, parent.id, child.tree, child.lft, child.rght, 1, child.below
  FROM (VALUES ('b', 'a', 1, 2, 7, 2), ('e', 'a', 1, 8, 9, 0), ('y', 'x', 2, 2, 5, 1))
       child(name, above, tree, lft, rght, below)
  JOIN orgs_organization parent ON parent.name = child.above ORDER BY 1;
INSERT INTO orgs_organization (name, key, parent_id, tree_id, lft, rght, level, descendant_count)
SELECT child.name, child.name, parent.id, child.tree, child.lft, child.rght, 2, 0
  FROM (VALUES ('c', 'b', 1, 3, 4), ('d', 'b', 1, 5, 6), ('z', 'y', 2, 3, 4)) child(name, above, tree, lft, rght)
  JOIN orgs_organization parent ON parent.name = child.above ORDER BY 1;
"""
"""a with b (c, d) and e; x with y (z)."""
DAMAGE = """
DELETE FROM flags_flagstate WHERE (organization_id + flag_id) % 4 = 0;
UPDATE flags_flagstate SET enabled = NOT enabled WHERE (organization_id + flag_id) % 4 = 1;
UPDATE flags_flagstate SET source_id = 0, change_number = change_number + 1000000
 WHERE (organization_id + flag_id) % 4 = 2;
INSERT INTO flags_flagstate (organization_id, flag_id, enabled, source_id, change_number, updated_at)
SELECT organization.id, flag.id, true, organization.id, 1000000, now()
  FROM orgs_organization organization CROSS JOIN flags_flag flag ON CONFLICT DO NOTHING;
"""
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
which = st.integers(0, MOST_ORGANIZATIONS - 1)
worker = st.sampled_from([0, 1])


class Machine(RuleBasedStateMachine):
    """Requests go to Flagsite and to the model; everything else only to Flagsite."""

    workers: ClassVar[list[SteppedWorker]]

    @initialize(
        inline_rows=st.sampled_from([1000, 2, 0]), chunk=st.sampled_from([1, 2]), retries=st.sampled_from([0, 3])
    )
    def begin(self, inline_rows: int, chunk: int, retries: int) -> None:
        """Two small trees, small chunks, and a small measure of what is written at once."""
        self.inline_rows = override_settings(FLAGS_INLINE_ROWS=inline_rows)
        self.inline_rows.enable()
        propagation.MIN_CHUNK_SIZE = chunk
        _begin_anew(retries)
        self.names = dict(Organization.objects.values_list("pk", "name"))
        self.model = NaiveModel()
        for organization in Organization.objects.order_by("id"):
            self.model.create(organization.pk, organization.parent_id)

    # --- Requests -----------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.model.parents) < MOST_ORGANIZATIONS)
    @rule(under=which)
    def create(self, under: int) -> None:
        parent = self._organization(under) if self.model.parents else None
        name = f"n{len(self.names)}"
        note(f"create {name} under {self._name(parent)}")
        organization = tree_operations.create(name=name, key=name, parent_id=parent)
        self.names[organization.pk] = name
        self.model.create(organization.pk, parent)

    @precondition(lambda self: self.model.parents)
    @rule(what=which, under=which, root=st.sampled_from([False, False, True]))
    def move(self, what: int, under: int, root: bool) -> None:
        organization, parent = self._organization(what), None if root else self._organization(under)
        note(f"move {self._name(organization)} under {self._name(parent)}")
        if parent is not None and organization in self.model.line(parent):
            with pytest.raises(MoveUnderOwnDescendant):
                tree_operations.move(organization_id=organization, parent_id=parent)
            return
        before = self.model.parents[organization]
        tree_operations.move(organization_id=organization, parent_id=parent)
        if parent != before:
            self.model.move(organization, parent, number=_last_number())

    @precondition(lambda self: len(self.model.parents) > MOST_ORGANIZATIONS / 2)
    @rule(what=which)
    def delete(self, what: int) -> None:
        organization = self._organization(-1 - what)
        note(f"delete {self._name(organization)}")
        tree_operations.delete(organization_id=organization, subtree=True)
        self.model.delete(organization)

    @precondition(lambda self: self.model.parents)
    @rule(
        on=which,
        keys=st.sampled_from(["f", "g", "fg"]),
        enabled=st.booleans(),
        below=st.sampled_from([*Below, Below.OVERWRITE]),
        only_here=st.sampled_from([False, False, True]),
    )
    def set(self, on: int, keys: str, enabled: bool, below: Below, only_here: bool) -> None:
        organization = self._organization(on)
        how = {"enabled": enabled, "below": below, "only_here": only_here and below is not Below.LOCK}
        for key in keys:
            note(f"set {key} on {self._name(organization)}: {how}")
            flag = Flag.objects.filter(key=key).first()
            if flag and self.model.is_locked_above(organization, flag.pk):
                with pytest.raises(FlagLocked):
                    set_flag(organization_id=organization, flag_key=key, **how)
                continue
            accepted = set_flag(organization_id=organization, flag_key=key, **how)
            self.model.set(organization, accepted.flag.pk, number=accepted.change.number, **how)

    @precondition(lambda self: self.model.settings)
    @rule(on=which, key=st.sampled_from(["f", "g"]), subtree=st.booleans())
    def reset(self, on: int, key: str, subtree: bool) -> None:
        """Towards what is inherited; a lock goes in the same way."""
        organization, flag = self._organization(on), Flag.objects.filter(key=key).first()
        if flag is None:
            return
        note(f"reset {key} on {self._name(organization)}{' and below' if subtree else ''}")
        if self.model.is_locked_above(organization, flag.pk):
            with pytest.raises(FlagLocked):
                _reset(organization, key, subtree=subtree)
            return
        is_there = self.model.is_set_at_or_below if subtree else self.model.is_set
        expected = is_there(organization, flag.pk)
        accepted = _reset(organization, key, subtree=subtree)
        assert (accepted is not None) == expected
        if accepted is not None:
            self.model.reset(organization, flag.pk, number=accepted.change.number, subtree=subtree)

    @precondition(lambda self: _retryable().exists())
    @rule(job=which)
    def retry(self, job: int) -> None:
        """Somebody asks for another round of a chain that has ended badly."""
        jobs = list(_retryable())
        note(f"retry job {jobs[job % len(jobs)].pk}")
        with suppress(NotRetryable):
            job_operations.retry(job_id=jobs[job % len(jobs)].pk, by="somebody")

    # --- What happens to workers and jobs -----------------------------------------------------------------------------

    @precondition(lambda self: self._something_to_do())
    @rule(who=worker, job=which, chunks=st.integers(0, 6))
    def work(self, who: int, job: int, chunks: int) -> None:
        """A worker goes on, or takes any job that waits; one that finds none was woken once too often."""
        if not self.workers[who].busy:
            _put_first(job)
            self.workers[who].start()
        self.workers[who].step(chunks)
        note(f"worker {who} takes job {job} of those that wait, unless it has one, and writes {chunks} chunks")

    @precondition(lambda self: self._something_to_do())
    @rule(who=worker, job=which, chunks=st.integers(0, 6), dead=st.booleans())
    def lose_a_worker(self, who: int, job: int, chunks: int, dead: bool) -> None:
        """It is killed at its work, or lives on and must find that its job is another's now."""
        self.work(who, job, chunks)
        if dead:
            self.workers[who].kill()
        Job.objects.filter(status=Status.IN_PROGRESS, worker=self.workers[who].name).update(lease_expires_at=LONG_AGO)
        note(f"worker {who} loses its lease, {rescuer.rescue_expired()} rescued")

    @precondition(lambda self: self._something_to_do())
    @rule(who=worker, job=which, chunks=st.integers(0, 3))
    def stop_a_worker(self, who: int, job: int, chunks: int) -> None:
        """It hands its job back at the next chunk."""
        self.work(who, job, chunks)
        stop_request.request_stop()
        try:
            self.workers[who].finish()
        finally:
            stop_request.withdraw()
        note(f"worker {who} is stopped")

    @precondition(lambda self: self.model.parents and self._something_to_do())
    @rule(refused=st.lists(which, min_size=1, max_size=3), who=worker, job=which)
    def fail_at_work(self, refused: list[int], who: int, job: int) -> None:
        """A worker does a job while the database does not take the rows of some organizations."""
        organizations = {self._organization(each) for each in refused}
        faults.refuse(*organizations)
        note(f"the database refuses {[self._name(each) for each in organizations]}")
        self.work(who, job, 0)
        self.workers[who].finish()
        faults.refuse()

    def _something_to_do(self) -> bool:
        return any(each.busy for each in self.workers) or Job.objects.filter(status=Status.PENDING).exists()

    # --- What must hold -----------------------------------------------------------------------------------------------

    @invariant()
    def no_row_is_ahead_of_the_requests(self) -> None:
        values = self.model.values
        for organization, states in _rows().items():
            for flag, row in states.items():
                meant = values[organization][flag]
                assert row.number <= meant.number
                assert row == meant or row.number < meant.number

    @invariant()
    def the_settings_say_what_the_requests_do(self) -> None:
        """From the moment of each request on, however far its job has come."""
        settings = {
            (each.organization_id, each.flag_id): Decision(each.kind, each.enabled, each.number, each.only_here)
            for each in FlagSetting.objects.all()
        }
        assert settings == self.model.settings

    @invariant()
    def a_recalculation_finds_nothing_to_mend(self) -> None:
        """At no moment, whatever waits or has failed, do the changes say something else than the rows."""
        assert [each for each in _differences() if not each.undecided] == []

    @invariant()
    def each_attempt_tells_how_the_work_stands(self) -> None:
        for job in Job.objects.all():
            chain = chain_of(job)
            assert job.status == (job.attempt_status if job.pk == chain.latest_job_id else chain.status)

    def everything_ends(self) -> None:
        """Nothing is in the way any more: all jobs are carried out, and retried until none is left behind."""
        faults.refuse()
        for each in self.workers:
            each.finish()
        Job.objects.filter(status=Status.IN_PROGRESS).update(lease_expires_at=LONG_AGO)
        rescuer.rescue_expired()
        for _ in range(20):
            self._run_what_waits()
            if not self._retry_what_failed():
                break
        assert not Job.objects.filter(status__in=[*OPEN, Status.RETRYING]).exists()
        assert _set_only(_rows()) == _set_only(self.model.values), (
            "the rows are not what the requests give one after another"
        )
        assert integrity.find_problems().sound
        self._a_recalculation_undoes_damage()

    def _a_recalculation_undoes_damage(self) -> None:
        """Whatever happens to rows behind Flagsite's back, the changes bring exactly the same rows back.

        Nobody can tell the rows of changes whose job never came to an end, because its organization was deleted.
        """
        assert _differences() == []
        before = _rows()
        with connection.cursor() as cursor:
            cursor.execute(DAMAGE)
        enqueue(kind="recalculation")
        Job.objects.filter(status=Status.PENDING).update(run_at=LONG_AGO)
        self._run_what_waits()
        undecided = {(each.organization_id, each.flag_id) for each in _differences() if each.undecided == "open"}
        assert len(undecided) == len(_differences())
        assert not undecided or _retryable().exists()
        assert _without(undecided, _set_only(_rows())) == _without(undecided, _set_only(before))

    def teardown(self) -> None:
        try:
            if sys.exc_info()[1] is None:
                self.everything_ends()
        finally:
            self.inline_rows.disable()
            for each in self.workers:
                each.kill()

    def _run_what_waits(self) -> None:
        while Job.objects.filter(status=Status.PENDING).exists():
            _put_first(0)
            self.workers[0].start()
            self.workers[0].finish()

    def _retry_what_failed(self) -> bool:
        """Ask for a new round of every chain that has left somebody behind; returns whether there was one."""
        retried = False
        for root in _retryable().filter(organization__in=list(self.model.parents)):
            with suppress(NotRetryable):
                job_operations.retry(job_id=root.pk, by="somebody")
                retried = True
        return retried

    def _organization(self, which: int) -> int:
        alive = sorted(self.model.parents)
        return alive[which % len(alive)]

    def _name(self, organization: int | None) -> str:
        return "nothing" if organization is None else self.names[organization]


def _begin_anew(retries: int) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        locks.lock_all_trees_for_writing()
        for table in TABLES:
            cursor.execute(f"DELETE FROM {table}")
        cursor.execute(TREES)
        cursor.execute("UPDATE jobs_queue SET max_retries = %s", [retries])


def _retryable() -> QuerySet[Job]:
    """The latest attempts of chains that may have left somebody behind."""
    return Selection().failed().order_by("id")


def _rows() -> dict[int, dict[int, Holds]]:
    found: dict[int, dict[int, Holds]] = {}
    for row in FlagState.objects.all():
        found.setdefault(row.organization_id, {})[row.flag_id] = Holds(
            row.enabled, row.source_id, row.change_number, row.locked
        )
    return found


def _set_only(rows: dict[int, dict[int, Holds]]) -> dict[int, dict[int, Holds]]:
    """The rows that have a value: one without is as good as none."""
    found = {
        organization: {flag: row for flag, row in states.items() if row.enabled is not None}
        for organization, states in rows.items()
    }
    return {organization: states for organization, states in found.items() if states}


def _reset(organization_id: int, key: str, *, subtree: bool) -> AcceptedChange | None:
    with transaction.atomic():
        locks.lock_trees_for_reading(organization_id)
        organization = Organization.objects.get(pk=organization_id)
        return reset_flag_on(organization, flag_key=key, subtree=subtree)


def _differences() -> list[Difference]:
    return differences(
        list(Organization.objects.values_list("pk", flat=True)), list(Flag.objects.values_list("pk", flat=True))
    )


def _without(left_out: set[tuple[int, int]], rows: dict[int, dict[int, Holds]]) -> dict[tuple[int, int], Holds]:
    every = {(organization, flag): row for organization, states in rows.items() for flag, row in states.items()}
    return {place: row for place, row in every.items() if place not in left_out}


def _last_number() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT last_value FROM flags_change_number")
        return int(cursor.fetchone()[0])


def _put_first(which: int) -> None:
    """Make every waiting job due, and one of them the first."""
    waiting = Job.objects.filter(status=Status.PENDING).order_by("id")
    ids = list(waiting.values_list("pk", flat=True))
    waiting.update(run_at=LONG_AGO, priority=0)
    waiting.filter(pk__in=ids[which % len(ids) :][:1] if ids else []).update(priority=1)


@pytest.fixture
def machine(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Machine]]:
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
    pause_before_chunks(monkeypatch)
    monkeypatch.setattr(propagation, "MIN_CHUNK_SIZE", propagation.MIN_CHUNK_SIZE)  # put back what machines set
    Machine.workers = [SteppedWorker("first"), SteppedWorker("second")]
    with faults.refusals():
        yield Machine
        for each in Machine.workers:
            each.quit()


PROFILE = settings(
    max_examples=30,
    stateful_step_count=40,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    database=None,
    derandomize="CI" in os.environ,  # the same examples for every change; new ones are looked for by hand
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_rows_end_as_the_requests_say(machine: type[Machine]) -> None:
    run_state_machine_as_test(machine, settings=PROFILE)
