"""Whatever happens to workers and jobs, values end as if each request had been carried out at once.

The machine sends requests (create, move, delete, set, retry) one after another, while two workers carry the jobs
down chunk by chunk, are killed, lose their leases, are stopped, and while the database refuses some organizations.
When at last everything has ended well, each row equals the naive model's: value, source and number.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import ClassVar

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import override_settings
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from flags import changes, propagation
from flags.models import Flag, FlagState
from flags.tests import faults
from flags.tests.naive import Holds, NaiveModel
from flags.tests.stepping import SteppedWorker, pause_before_chunks
from jobs import lifecycle, stopping, sweep
from jobs.errors import NotRetryable
from jobs.models import Job
from jobs.states import OPEN, Status
from orgs import checking, locks, tree
from orgs.errors import MoveUnderOwnDescendant

MOST_ORGANIZATIONS = 9
FLAGS = ("f", "g")
TABLES = ("test_refused", "flags_change", "flags_flagstate", "jobs_jobfailure", "jobs_job", "orgs_organization")
index = st.integers(0, MOST_ORGANIZATIONS - 1)
worker = st.sampled_from([0, 1])
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class Machine(RuleBasedStateMachine):
    """Requests go to Flagsite and to the model; everything else only to Flagsite."""

    workers: ClassVar[list[SteppedWorker]]

    @initialize(
        parents=st.lists(index, min_size=3, max_size=6),
        inline_rows=st.sampled_from([1000, 2, 0]),
        chunk=st.sampled_from([1, 2]),
        refusing=st.booleans(),
    )
    def begin(self, parents: list[int], inline_rows: int, chunk: int, refusing: bool) -> None:
        """A small tree, small chunks, and a small measure of what is written at once."""
        _empty_the_database()
        self.inline_rows = override_settings(FLAGS_INLINE_ROWS=inline_rows)
        self.inline_rows.enable()
        propagation.SMALLEST_CHUNK = chunk
        self.model = NaiveModel()
        self.names: dict[int, str] = {}
        self.flags = [Flag.objects.get_or_create(key=key)[0].pk for key in FLAGS]
        self.refusing = refusing
        for under in (None, *parents):
            self._create(self._organization(under))

    # --- Requests -----------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.model.parents) < MOST_ORGANIZATIONS)
    @rule(under=st.none() | index)
    def create(self, under: int | None) -> None:
        self._create(self._organization(under))

    @precondition(lambda self: self.model.parents)
    @rule(which=index, under=st.none() | index)
    def move(self, which: int, under: int | None) -> None:
        organization, parent = self._organization(which), self._organization(under)
        with self._request(f"move {self._name(organization)} under {self._name(parent)}"):
            if parent is not None and organization in self.model.line(parent):
                with pytest.raises(MoveUnderOwnDescendant):
                    tree.move(organization_id=organization, parent_id=parent)
                return
            before = self.model.parents[organization]
            tree.move(organization_id=organization, parent_id=parent)
            if parent != before:
                self.model.move(organization, parent, number=_last_number())

    @precondition(lambda self: self.model.parents)
    @rule(which=index)
    def delete(self, which: int) -> None:
        organization = self._organization(which)
        with self._request(f"delete {self._name(organization)}"):
            tree.delete(organization_id=organization, subtree=True)
            self.model.delete(organization)

    @precondition(lambda self: self.model.parents)
    @rule(which=index, flag=st.sampled_from([0, 1]), enabled=st.booleans())
    def set(self, which: int, flag: int, enabled: bool) -> None:
        organization = self._organization(which)
        with self._request(f"set {FLAGS[flag]} to {enabled} on {self._name(organization)}"):
            accepted = changes.set_flag(organization_id=organization, flag_key=FLAGS[flag], enabled=enabled)
            self.model.set(organization, self.flags[flag], enabled=enabled, number=accepted.change.number)

    @precondition(lambda self: Job.objects.filter(status__in=[Status.FAILED, Status.COMPLETED]).exists())
    @rule(which=index)
    def retry(self, which: int) -> None:
        jobs = list(Job.objects.order_by("id"))
        job = jobs[which % len(jobs)]
        with self._request(f"retry job {job.pk}"), suppress(NotRetryable):
            lifecycle.retry(job_id=job.pk, by="somebody")

    # --- What happens to workers and jobs -----------------------------------------------------------------------------

    @rule(who=worker, which=index, chunks=st.integers(0, 8))
    def work(self, who: int, which: int, chunks: int) -> None:
        """Any of the jobs that wait; a worker that finds none was woken once too often."""
        if not self.workers[who].busy:
            _put_first(which)
            self.workers[who].start()
        self.workers[who].step(chunks)

    @precondition(lambda self: any(each.busy for each in self.workers))
    @rule(who=worker, dead=st.booleans())
    def lose_the_lease(self, who: int, dead: bool) -> None:
        """A worker is killed, or it lives on and must find that its job is another's now."""
        if dead:
            self.workers[who].kill()
        Job.objects.filter(status=Status.IN_PROGRESS, worker=self.workers[who].name).update(lease_expires_at=LONG_AGO)
        sweep.rescue_expired()

    @precondition(lambda self: any(each.busy for each in self.workers))
    @rule(who=worker)
    def stop(self, who: int) -> None:
        """A worker hands its job back at the next chunk."""
        stopping.request_stop()
        try:
            self.workers[who].finish()
        finally:
            stopping.withdraw()

    @precondition(lambda self: self.refusing and self.model.parents)
    @rule(which=st.none() | index)
    def refuse(self, which: int | None) -> None:
        """The database does not take the rows of one organization, or takes all again."""
        refused = self._organization(which)
        faults.refuse(*([refused] if refused else []))

    # --- What must hold -----------------------------------------------------------------------------------------------

    @invariant()
    def no_row_is_ahead_of_the_requests(self) -> None:
        for organization, states in _rows().items():
            for flag, row in states.items():
                meant = self.model.values[organization][flag]
                assert row.number <= meant.number
                assert row == meant or row.number < meant.number

    def everything_ends(self) -> None:
        """Nothing is in the way any more: all jobs are carried out, and retried until none is left behind."""
        faults.refuse()
        for each in self.workers:
            each.finish()
        Job.objects.filter(status=Status.IN_PROGRESS).update(lease_expires_at=LONG_AGO)
        sweep.rescue_expired()
        for _ in range(20):
            self._run_what_waits()
            if not self._retry_what_failed():
                break
        assert not Job.objects.filter(status__in=[*OPEN, Status.RETRYING]).exists()
        assert _rows() == {each: held for each, held in self.model.values.items() if held}, (
            "the rows are not what the requests give one after another"
        )
        assert checking.find_problems().sound

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
        for root in Job.objects.filter(parent_job=None, organization__in=list(self.model.parents)):
            with suppress(NotRetryable):
                lifecycle.retry(job_id=root.pk, by="somebody")
                retried = True
        return retried

    def _create(self, parent: int | None) -> None:
        name = chr(ord("a") + len(self.names))
        with self._request(f"create {name} under {self._name(parent)}"):
            organization = tree.create(name=name, key=name, parent_id=parent)
            self.names[organization.pk] = name
            self.model.create(organization.pk, parent)

    def _organization(self, which: int | None) -> int | None:
        alive = sorted(self.model.parents)
        return None if which is None or not alive else alive[which % len(alive)]

    def _name(self, organization: int | None) -> str:
        return "nothing" if organization is None else self.names[organization]

    @contextmanager
    def _request(self, words: str) -> Iterator[None]:
        """A request that the database refuses is taken back whole."""
        try:
            yield
        except DatabaseError as error:
            assert "is refused" in str(error)
            words += ": refused"
        note(words)


def _empty_the_database() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        locks.lock_tree_for_writing()
        for table in TABLES:
            cursor.execute(f"DELETE FROM {table}")


def _rows() -> dict[int, dict[int, Holds]]:
    found: dict[int, dict[int, Holds]] = {}
    for row in FlagState.objects.all():
        found.setdefault(row.organization_id, {})[row.flag_id] = Holds(row.enabled, row.source_id, row.change_number)
    return found


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
    monkeypatch.setattr(propagation, "SMALLEST_CHUNK", propagation.SMALLEST_CHUNK)  # put back what machines set
    Machine.workers = [SteppedWorker("first"), SteppedWorker("second")]
    with faults.refusals():
        yield Machine
        for each in Machine.workers:
            each.quit()


def _profile(examples: int, steps: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )


def test_rows_end_as_the_requests_say(machine: type[Machine]) -> None:
    run_state_machine_as_test(machine, settings=_profile(40, 30))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_rows_end_as_the_requests_say_in_long_runs(machine: type[Machine]) -> None:
    run_state_machine_as_test(machine, settings=_profile(400, 60))
