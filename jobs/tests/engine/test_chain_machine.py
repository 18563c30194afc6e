"""Whatever workers and people do to a chain, each of its jobs tells how the work stands, and how it ended itself."""

from __future__ import annotations

import os
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

from jobs.api.serializers import JobSerializer
from jobs.engine import claiming, lifecycle
from jobs.engine.chains import attempts, tracked
from jobs.engine.models import Job, Queue
from jobs.engine.states import OPEN, Status
from jobs.errors import LeaseLost, NotCancellable, NotRetryable, TransitionRefused
from jobs.operations import job_operations
from jobs.tests.engine_steps import LONG_AGO, QUEUE, changed, lease_of, make_due, waiting

TOTAL = 10
REFUSALS = (LeaseLost, NotCancellable, NotRetryable, TransitionRefused)
any_attempt = st.integers(0, 20)


class Chain(RuleBasedStateMachine):
    """One chain. Attempts write organizations 0 to 9 of a set, so that the counts can be compared with it."""

    @initialize(retries=st.sampled_from([0, 1, 3]))
    def begin(self, retries: int) -> None:
        self.savepoint = transaction.atomic()
        self.savepoint.__enter__()
        Queue.objects.filter(name=QUEUE).update(max_retries=retries)
        self.first = waiting()
        self.ended: dict[int, str] = {}
        """How each attempt was seen to end."""
        self.left = TOTAL
        """Organizations that the work still has to write."""
        self.latest = self.first
        """The latest attempt, as it was after the last step."""

    def teardown(self) -> None:
        if hasattr(self, "savepoint"):
            transaction.set_rollback(True)
            self.savepoint.__exit__(None, None, None)

    # --- What workers do ----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.latest.status == Status.PENDING)
    @rule(seen=st.integers(0, TOTAL), failed=st.booleans())
    def claim_and_write(self, seen: int, failed: bool) -> None:
        """A worker claims the attempt that waits, and writes or fails some organizations."""
        make_due()
        job = claiming.claim(queue=QUEUE, worker="worker")
        assert job == self.latest
        note(f"claim {job.pk}")
        total = self.left if job.only_behind else TOTAL
        written = min(seen, total - job.processed - job.failed)
        counts = {"failed": written} if failed else {"processed": written}
        lifecycle.record_progress(job_id=job.pk, lease=lease_of(job), total=total, **counts)

    @precondition(lambda self: self.latest.status == Status.IN_PROGRESS)
    @rule(rest_fails=st.booleans())
    def complete(self, rest_fails: bool) -> None:
        """The attempt writes what it has left, or fails the rest, and ends as the runner decides."""
        job = self.latest
        rest = (job.total or 0) - job.processed - job.failed
        lifecycle.record_progress(job_id=job.pk, lease=lease_of(job), **{"failed" if rest_fails else "processed": rest})
        job.refresh_from_db()
        note(f"end {job.pk}: {job.processed} processed, {job.failed} failed")
        if job.failed and not job.processed:
            lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="All failed.")
        else:
            lifecycle.complete(job_id=job.pk, lease=lease_of(job))
        self._leave(job)

    @precondition(lambda self: self.latest.status == Status.IN_PROGRESS)
    @rule(how=st.sampled_from(["fail", "fail for good", "release", "rescue"]))
    def interrupt(self, how: str) -> None:
        job = self.latest
        note(f"{how} {job.pk}")
        steps: dict[str, Any] = {
            "fail": lambda: lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no"),
            "fail for good": lambda: lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no", permanent=True),
            "release": lambda: lifecycle.release(job_id=job.pk, lease=lease_of(job)),
            "rescue": lambda: lifecycle.rescue(job_id=changed(job, lease_expires_at=LONG_AGO).pk),
        }
        steps[how]()
        if how != "release":
            self._leave(job)

    # --- What people do -----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.latest.parent_job_id)
    @rule(which=any_attempt)
    def cancel(self, which: int) -> None:
        self._try(job_operations.cancel, which)

    @precondition(lambda self: self.latest.status not in OPEN or len(self.ended) > 1)
    @rule(which=any_attempt)
    def retry(self, which: int) -> None:
        """A person retries the chain, which is possible exactly if the answer has said so."""
        could = {job.chain.can_retry for job in tracked(self._chain())}
        assert could == {self._try(job_operations.retry, which)}

    # --- What must hold -----------------------------------------------------------------------------------------------

    @invariant()
    def each_job_tells_how_the_work_stands_and_keeps_how_it_ended(self) -> None:
        jobs = tracked(self._chain())
        answers = [dict(JobSerializer(job).data) for job in jobs]
        chain = [job.job for job in jobs]
        self.latest = chain[-1]
        self._first_tells_how_the_chain_stands(answers[0], chain)
        assert {answer["status"] for answer in answers[:-1]} <= {answers[0]["status"]}
        assert answers[-1]["status"] == chain[-1].attempt_status
        for job, answer in zip(chain, answers, strict=True):
            assert (job.ended_as == "") == (job.status in OPEN)
            assert self.ended.get(job.pk, "") in {"", job.ended_as}
            self.ended[job.pk] = job.ended_as
            assert answer["attempt"]["status"] == (job.ended_as or job.status)
        assert Job.objects.filter(parent_job=None, status=answers[0]["status"], pk=self.first.pk).exists()

    def _first_tells_how_the_chain_stands(self, answer: dict[str, Any], chain: list[Job]) -> None:
        latest = chain[-1]
        expected = "RETRYING" if len(chain) > 1 and latest.is_open else latest.attempt_status
        assert answer["status"] == answer["chain"]["status"] == expected
        assert answer["final"] == (not latest.is_open)
        assert answer["willRetry"] == (expected == "RETRYING")
        assert (answer["completedAt"] is None) == latest.is_open
        if expected == "COMPLETED":
            assert answer["processedOrganizations"] + answer["failedOrganizations"] == TOTAL
            assert (answer["totalOrganizations"], answer["failedOrganizations"]) == (TOTAL, latest.failed)
        if expected == "FAILED":
            assert answer["retryCount"] >= answer["maxRetries"]
            assert answer["errorMessage"]

    def _chain(self) -> list[Job]:
        return attempts(self.first)

    def _leave(self, job: Job) -> None:
        """Count what an attempt that has ended has left."""
        job.refresh_from_db()
        self.left = (self.left if job.only_behind else TOTAL) - job.processed

    def _try(self, operation: Any, which: int) -> bool:
        chain = self._chain()
        job = chain[which % len(chain)]
        try:
            with transaction.atomic():
                operation(job_id=job.pk, by="bob")
        except REFUSALS:
            return False
        note(f"{operation.__name__} {job.pk}")
        if operation is job_operations.cancel:
            self._leave(chain[-1])
        return True


PROFILE = settings(
    max_examples=15,
    stateful_step_count=20,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    database=None,
    derandomize="CI" in os.environ,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


@pytest.mark.slow
@pytest.mark.django_db
def test_each_job_of_a_chain_tells_how_the_work_stands() -> None:
    run_state_machine_as_test(Chain, settings=PROFILE)
