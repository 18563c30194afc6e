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
from typing import ClassVar

import pytest
from django.db import connection
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
from flags.errors import FlagLocked, FlagNotLocked
from flags.states import propagation
from flags.states.exemptions import end_exemption_on, exempt_on
from flags.states.models import FlagSetting
from flags.states.set_flag import reset_flag, set_flag
from flags.states.setting_rules import Below
from flags.tests.serving.hearing import Hearing
from flags.tests.states import faults
from flags.tests.states.machine_data import (
    DAMAGE,
    LONG_AGO,
    MOST_ORGANIZATIONS,
    all_differences,
    begin_anew,
    changed_in_tree,
    last_number,
    put_first,
    retryable,
    rows,
    set_only,
    without,
)
from flags.tests.states.naive import Decision, NaiveModel
from flags.tests.states.stepping import SteppedWorker, pause_before_chunks
from jobs.engine import rescuer, stop_request
from jobs.engine.chains import chain_of
from jobs.engine.models import Job
from jobs.engine.states import OPEN, Status
from jobs.errors import NotRetryable
from jobs.operations import job_operations
from jobs.operations.enqueue import enqueue
from orgs.errors import MoveUnderOwnDescendant
from orgs.tree import integrity, tree_operations
from orgs.tree.models import Organization
from orgs.tree.move_options import MoveOptions

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
        begin_anew(retries)
        self.hearing = Hearing()
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
    @rule(what=which, under=which, root=st.sampled_from([False, False, True]), keeps=st.booleans())
    def move(self, what: int, under: int, root: bool, keeps: bool) -> None:
        organization, parent = self._organization(what), None if root else self._organization(under)
        note(f"move {self._name(organization)} under {self._name(parent)}{', which keeps its values' if keeps else ''}")
        if parent is not None and organization in self.model.line(parent):
            with pytest.raises(MoveUnderOwnDescendant):
                tree_operations.move(organization_id=organization, parent_id=parent)
            return
        before = self.model.parents[organization]
        options = MoveOptions(keeps_values=keeps)
        tree_operations.move(organization_id=organization, parent_id=parent, options=options)
        if parent != before:
            self.model.move(organization, parent, number=last_number(), materialise=keeps)

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
                reset_flag(organization_id=organization, flag_key=key, subtree=subtree)
            return
        is_there = self.model.is_set_at_or_below if subtree else self.model.is_set
        expected = is_there(organization, flag.pk)
        accepted = reset_flag(organization_id=organization, flag_key=key, subtree=subtree)
        assert (accepted is not None) == expected
        if accepted is not None:
            self.model.reset(organization, flag.pk, number=accepted.change.number, subtree=subtree)

    @precondition(lambda self: self.model.settings)
    @rule(on=which, key=st.sampled_from(["f", "g"]))
    def exempt(self, on: int, key: str) -> None:
        """From the lock above, if there is one; an exemption that is there already ends."""
        organization, flag = self._organization(on), Flag.objects.filter(key=key).first()
        if flag is None:
            return
        note(f"exempt {self._name(organization)} from the lock of {key}, or end it")
        if (organization, flag.pk) in self.model.pure.exemptions:
            accepted = changed_in_tree(organization, end_exemption_on, flag_key=key)
            assert accepted is not None
            self.model.end_exemption(organization, flag.pk, number=accepted.change.number)
        elif self.model.is_locked_above(organization, flag.pk):
            accepted = changed_in_tree(organization, exempt_on, flag_key=key, may_lift=lambda _: True)
            assert accepted is not None
            self.model.exempt(organization, flag.pk, number=accepted.change.number)
        else:
            with pytest.raises(FlagNotLocked):
                changed_in_tree(organization, exempt_on, flag_key=key, may_lift=lambda _: True)

    @precondition(lambda self: retryable().exists())
    @rule(job=which)
    def retry(self, job: int) -> None:
        """Somebody asks for another round of a chain that has ended badly."""
        jobs = list(retryable())
        note(f"retry job {jobs[job % len(jobs)].pk}")
        with suppress(NotRetryable):
            job_operations.retry(job_id=jobs[job % len(jobs)].pk, by="somebody")

    # --- What happens to workers and jobs -----------------------------------------------------------------------------

    @precondition(lambda self: self._something_to_do())
    @rule(who=worker, job=which, chunks=st.integers(0, 6))
    def work(self, who: int, job: int, chunks: int) -> None:
        """A worker goes on, or takes any job that waits; one that finds none was woken once too often."""
        if not self.workers[who].busy:
            put_first(job)
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
        for organization, states in rows().items():
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
    def a_process_that_listens_knows_every_row(self) -> None:
        """An organization that has no row yet may be answered with those above it, as they were at some time."""
        self.hearing.catch_up()
        for organization, states in rows().items():
            known = self.hearing.states(organization)
            for flag, row in states.items():
                assert known.get(flag) == (None if row.enabled is None else row)

    @invariant()
    def a_recalculation_finds_nothing_to_mend(self) -> None:
        """At no moment, whatever waits or has failed, do the changes say something else than the rows."""
        assert [each for each in all_differences() if not each.undecided] == []

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
        assert set_only(rows()) == set_only(self.model.values), (
            "the rows are not what the requests give one after another"
        )
        assert integrity.find_problems().sound
        self._a_recalculation_undoes_damage()

    def _a_recalculation_undoes_damage(self) -> None:
        """Whatever happens to rows behind Flagsite's back, the changes bring exactly the same rows back.

        Nobody can tell the rows of changes whose job never came to an end, because its organization was deleted.
        """
        assert all_differences() == []
        before = rows()
        with connection.cursor() as cursor:
            cursor.execute(DAMAGE)
        enqueue(kind="recalculation")
        Job.objects.filter(status=Status.PENDING).update(run_at=LONG_AGO)
        self._run_what_waits()
        undecided = {(each.organization_id, each.flag_id) for each in all_differences() if each.undecided == "open"}
        assert len(undecided) == len(all_differences())
        assert not undecided or retryable().exists()
        assert without(undecided, set_only(rows())) == without(undecided, set_only(before))

    def teardown(self) -> None:
        try:
            if sys.exc_info()[1] is None:
                self.everything_ends()
        finally:
            self.hearing.close()
            self.inline_rows.disable()
            for each in self.workers:
                each.kill()

    def _run_what_waits(self) -> None:
        while Job.objects.filter(status=Status.PENDING).exists():
            put_first(0)
            self.workers[0].start()
            self.workers[0].finish()

    def _retry_what_failed(self) -> bool:
        """Ask for a new round of every chain that has left somebody behind; returns whether there was one."""
        retried = False
        for root in retryable().filter(organization__in=list(self.model.parents)):
            with suppress(NotRetryable):
                job_operations.retry(job_id=root.pk, by="somebody")
                retried = True
        return retried

    def _organization(self, which: int) -> int:
        alive = sorted(self.model.parents)
        return alive[which % len(alive)]

    def _name(self, organization: int | None) -> str:
        return "nothing" if organization is None else self.names[organization]


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
