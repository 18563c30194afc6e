"""Whatever workers and people do, a batch has ended exactly if no member is open, and each end has one callback."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
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
from jobs.engine.states import OPEN, Status
from jobs.errors import BatchEnded, BatchNotRetryable, LeaseLost, NotCancellable, NotRetryable, TransitionRefused
from jobs.operations import bulk_job, job_operations
from jobs.tests.batches.batch_steps import CALLBACK, KIND, batch_of, callbacks, fail_partly, fresh, members
from jobs.tests.engine_steps import LONG_AGO, QUEUE, lease_of, make_due

REFUSALS = (BatchEnded, BatchNotRetryable, LeaseLost, NotCancellable, NotRetryable, TransitionRefused)
any_member = st.integers(0, 20)


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

    def teardown(self) -> None:
        if hasattr(self, "savepoint"):
            self.patch.undo()
            transaction.set_rollback(True)
            self.savepoint.__exit__(None, None, None)

    # --- What workers do ----------------------------------------------------------------------------------------------

    @rule()
    def claim(self) -> None:
        make_due()
        if Job.objects.filter(kind=bulk_job.KIND, status=Status.PENDING).exists():
            return  # they come first; `operate` runs them
        job = claiming.claim(queue=QUEUE, worker="worker")
        assert job is None or job.kind == KIND

    @rule(which=any_member, how=st.sampled_from(["complete", "partly", "fail", "for good", "release", "rescue"]),
          crashes=st.booleans())  # fmt: skip
    def end(self, which: int, how: str, crashes: bool) -> None:
        running = list(Job.objects.filter(batch=self.batch, kind=KIND, status=Status.IN_PROGRESS).order_by("pk"))
        if not running:
            return
        job = running[which % len(running)]
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

    @rule(which=any_member, crashes=st.booleans())
    def retry_member(self, which: int, crashes: bool) -> None:
        self._on_member(job_operations.retry, which, crashes=crashes)

    @rule(which=any_member, crashes=st.booleans())
    def cancel_member(self, which: int, crashes: bool) -> None:
        self._on_member(job_operations.cancel, which, crashes=crashes)

    @rule(crashes=st.booleans())
    def retry_what_failed(self, crashes: bool) -> None:
        self._do(lambda: operations.retry_failed_members(self.batch.pk, by="bob"), crashes=crashes)

    @precondition(lambda self: fresh(self.batch).generation > 1)
    @rule(crashes=st.booleans())
    def cancel(self, crashes: bool) -> None:
        self._do(lambda: operations.cancel(self.batch.pk, by="bob"), crashes=crashes)

    @rule(count=st.integers(1, 2), crashes=st.booleans())
    def add(self, count: int, crashes: bool) -> None:
        self._do(lambda: add_members(self.batch.pk, members(count)), crashes=crashes)

    # --- What must hold -----------------------------------------------------------------------------------------------

    @invariant()
    def the_batch_has_ended_exactly_if_no_part_of_it_is_open(self) -> None:
        batch = fresh(self.batch)
        open_jobs = Job.objects.filter(batch=batch, status__in=sorted(OPEN)).count()
        assert batch.is_open == (open_jobs > 0)
        assert (batch.outcome == "") == batch.is_open
        counts = count_now([batch.pk])[batch.pk]
        assert counts.total == batch.total
        if not batch.is_open:
            assert count_members([batch])[batch.pk].ended == counts.ended == batch.total
            assert batch.outcome == ending.outcome_of(batch, counts)

    @invariant()
    def each_generation_that_has_ended_has_one_callback(self) -> None:
        batch = fresh(self.batch)
        ended = batch.generation if not batch.is_open else batch.generation - 1
        assert callbacks(batch) == list(range(1, ended + 1))

    def _on_member(self, operation: Callable[..., Job], which: int, *, crashes: bool) -> None:
        jobs = list(Job.objects.filter(batch=self.batch, kind=KIND).order_by("pk"))
        if jobs:
            job = jobs[which % len(jobs)]
            self._do(lambda: operation(job_id=job.pk, by="bob"), crashes=crashes)

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
    max_examples=12,
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
