"""Whatever workers and people do, a batch has ended exactly if no member is open, and each end has one callback."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.db.models import Q
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

from jobs.batches import ending, operations
from jobs.batches.creation import add_members
from jobs.batches.members import count_members, count_now
from jobs.batches.models import FailurePolicy
from jobs.engine import claiming, lifecycle, runner
from jobs.engine.models import Job, Queue
from jobs.engine.states import Status
from jobs.errors import BatchEnded, BatchNotRetryable, LeaseLost, NotCancellable, NotRetryable, TransitionRefused
from jobs.operations import bulk_job, job_operations
from jobs.tests.batches.batch_steps import CALLBACK, KIND, batch_of, callbacks, fail_partly, fresh, members
from jobs.tests.engine_steps import LONG_AGO, QUEUE, lease_of, make_due

REFUSALS = (BatchEnded, BatchNotRetryable, LeaseLost, NotCancellable, NotRetryable, TransitionRefused)
MOST_MEMBERS = 4
any_member = st.integers(0, 20)
seldom = st.sampled_from([False, False, False, True])
"""Whether a step crashes."""


class Crash(Exception):
    """The process dies before it commits."""


class BatchMachine(RuleBasedStateMachine):
    """One batch, whose callbacks a worker may run twice, and in which each step may crash before its commit."""

    @initialize(
        count=st.integers(0, 3), required=st.integers(0, 1), policy=st.sampled_from(FailurePolicy),
        retries=st.sampled_from([0, 1]), at_once=st.sampled_from([0, 200]),
    )  # fmt: skip
    def begin(self, count: int, required: int, policy: FailurePolicy, retries: int, at_once: int) -> None:
        self.savepoint = transaction.atomic()
        self.savepoint.__enter__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(operations, "MAX_JOBS_IN_REQUEST", at_once)
        Queue.objects.filter(name=QUEUE).update(max_retries=retries)
        self.batch = batch_of(count, required=min(required, count), failure_policy=policy)
        self.waiting: list[Job] = []
        self.running: list[Job] = []
        self.ended_badly: list[Job] = []

    def teardown(self) -> None:
        if hasattr(self, "savepoint"):
            self.patch.undo()
            transaction.set_rollback(True)
            self.savepoint.__exit__(None, None, None)

    # --- What workers do ----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.waiting)
    @rule()
    def claim(self) -> None:
        make_due()
        if not Job.objects.filter(kind=bulk_job.KIND, status=Status.PENDING).exists():  # else `operate` comes first
            job = claiming.claim(queue=QUEUE, worker="worker")
            assert job is not None
            assert job.kind == KIND

    @precondition(lambda self: self.running)
    @rule(which=any_member, crashes=seldom)
    def complete(self, which: int, crashes: bool) -> None:
        self._end(which, "complete", crashes=crashes)

    @precondition(lambda self: self.running)
    @rule(which=any_member, crashes=seldom)
    def fail_for_good(self, which: int, crashes: bool) -> None:
        self._end(which, "for good", crashes=crashes)

    @precondition(lambda self: self.running)
    @rule(which=any_member, how=st.sampled_from(["partly", "fail", "release", "rescue"]), crashes=seldom)
    def end_otherwise(self, which: int, how: str, crashes: bool) -> None:
        self._end(which, how, crashes=crashes)

    def _end(self, which: int, how: str, *, crashes: bool) -> None:
        job = self.running[which % len(self.running)]
        if job.cancel_requested_at and how == "complete":
            how = "stop"
        known = {"job_id": job.pk, "lease": lease_of(job)}
        steps: dict[str, Callable[[], Any]] = {
            "complete": lambda: lifecycle.complete(**known),
            "stop": lambda: lifecycle.stop(**known),
            "partly": lambda: fail_partly(job),
            "fail": lambda: lifecycle.fail(**known, error="no"),
            "for good": lambda: lifecycle.fail(**known, error="no", permanent=True),
            "release": lambda: lifecycle.release(**known),
            "rescue": lambda: self._rescue(job),
        }
        note(f"{how} {job.pk}")
        self._do(steps[how], crashes=crashes)

    @rule()
    def operate(self) -> None:
        """A worker runs the bulk operations that wait."""
        while Job.objects.filter(kind=bulk_job.KIND, status=Status.PENDING).exists():
            job = runner.run_next(QUEUE)
            assert job is not None
            assert job.kind == bulk_job.KIND

    @rule()
    def heal(self) -> None:
        assert ending.heal() == 0, "nothing is ever left to heal"

    @rule()
    def run_callback_twice(self) -> None:
        """The worker of a callback dies after the work and before the record of the end, so it is done again."""
        job = claiming.claim(queue="maintenance", worker="worker")
        if job is not None:
            assert job.kind == CALLBACK
            Job.objects.filter(pk=job.pk).update(lease_expires_at=LONG_AGO)
            lifecycle.rescue(job_id=job.pk)
            again = runner.run_next("maintenance")
            assert again is not None
            assert again.parent_job_id == job.root_id

    # --- What people do -----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.ended_badly)
    @rule(which=any_member, crashes=seldom)
    def retry_member(self, which: int, crashes: bool) -> None:
        job = self.ended_badly[which % len(self.ended_badly)]
        self._do(lambda: job_operations.retry(job_id=job.pk, by="bob"), crashes=crashes)

    @precondition(lambda self: self.waiting and self.batch.generation > 1)
    @rule(which=any_member, crashes=seldom)
    def cancel_member(self, which: int, crashes: bool) -> None:
        job = self.waiting[which % len(self.waiting)]
        self._do(lambda: job_operations.cancel(job_id=job.pk, by="bob"), crashes=crashes)

    @precondition(lambda self: self.ended_badly)
    @rule(crashes=seldom)
    def retry_what_failed(self, crashes: bool) -> None:
        self._do(lambda: operations.retry_failed_members(self.batch.pk, by="bob"), crashes=crashes)

    @precondition(lambda self: self.batch.generation > 1)
    @rule(crashes=seldom)
    def cancel(self, crashes: bool) -> None:
        self._do(lambda: operations.cancel(self.batch.pk, by="bob"), crashes=crashes)

    @precondition(lambda self: self.batch.total < MOST_MEMBERS)
    @rule(count=st.integers(1, 2), crashes=seldom)
    def add(self, count: int, crashes: bool) -> None:
        self._do(lambda: add_members(self.batch.pk, members(count)), crashes=crashes)

    # --- What must hold -----------------------------------------------------------------------------------------------

    @invariant()
    def the_batch_has_ended_exactly_if_no_part_of_it_is_open(self) -> None:
        self.batch = batch = fresh(self.batch)
        chains = Job.objects.filter(batch=batch, parent_job=None)
        attempts = list(Job.objects.filter(Q(pk__in=chains) | Q(parent_job__in=chains)).order_by("pk"))
        latest = list({job.root_id: job for job in attempts}.values())
        assert batch.is_open == any(job.is_open for job in latest)
        assert (batch.outcome == "") == batch.is_open
        of_members = [job for job in latest if job.kind == KIND]
        counts = count_now([batch.pk])[batch.pk]
        assert counts.total == len(of_members) == batch.total
        assert counts.succeeded == sum(job.status == Status.COMPLETED and not job.failed for job in of_members)
        if not batch.is_open:
            assert count_members([batch])[batch.pk].ended == counts.ended == batch.total
            assert batch.outcome == ending.outcome_of(batch, counts)
        self.waiting = [job for job in of_members if job.status == Status.PENDING]
        self.running = [job for job in of_members if job.status == Status.IN_PROGRESS]
        self.ended_badly = [job for job in of_members if not job.is_open and (job.failed or job.status == "FAILED")]

    @invariant()
    def each_generation_that_has_ended_has_one_callback(self) -> None:
        batch = fresh(self.batch)
        ended = batch.generation if not batch.is_open else batch.generation - 1
        assert callbacks(batch) == list(range(1, ended + 1))

    def _rescue(self, job: Job) -> None:
        Job.objects.filter(pk=job.pk).update(lease_expires_at=LONG_AGO)
        lifecycle.rescue(job_id=job.pk)

    def _do(self, step: Callable[[], Any], *, crashes: bool) -> None:
        """Do the step in a transaction, which may crash before the commit; refusals change nothing either."""
        try:
            with transaction.atomic():
                step()
                if crashes:
                    raise Crash  # noqa: TRY301 - the death of the process rolls the transaction back
        except (Crash, *REFUSALS) as error:
            note(f"nothing: {error!r}")


PROFILE = settings(
    max_examples=10,
    stateful_step_count=25,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    database=None,
    derandomize="CI" in os.environ,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


@pytest.mark.slow
@pytest.mark.django_db
def test_a_batch_ends_with_its_last_member_and_each_end_has_one_callback() -> None:
    run_state_machine_as_test(BatchMachine, settings=PROFILE)
