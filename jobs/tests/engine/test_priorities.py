"""A job that waits can be given another priority; its retries keep it."""

from __future__ import annotations

import pytest

from jobs.engine import claiming, lifecycle
from jobs.errors import JobEnded
from jobs.operations import job_operations
from jobs.tests.engine_steps import QUEUE, claimed, latest, lease_of, make_due, waiting
from orgs.audit.models import AuditEntry

pytestmark = pytest.mark.django_db


def test_the_higher_one_starts_first_and_the_operation_is_recorded() -> None:
    waiting()
    late = waiting()
    assert job_operations.set_priority(job_id=late.pk, priority=5, by="bob", reason="a customer waits").priority == 5
    assert claiming.claim(queue=QUEUE, worker="w") == late
    entry = AuditEntry.objects.get(action="job.priority")
    assert (entry.subject, entry.actor, entry.reason) == (f"job:{late.pk}", "bob", "a customer waits")
    assert (entry.details["before"], entry.details["after"]) == (0, 5)


def test_it_concerns_the_attempt_that_is_open_and_those_after_it() -> None:
    first = claimed()
    lifecycle.fail(job_id=first.pk, lease=lease_of(first), error="no")
    assert job_operations.set_priority(job_id=first.pk, priority=-7, by="bob") == latest(first)
    make_due()
    again = claiming.claim(queue=QUEUE, worker="w")
    assert again is not None
    lifecycle.fail(job_id=again.pk, lease=lease_of(again), error="no")
    assert latest(first).priority == -7


def test_what_has_ended_has_no_priority() -> None:
    job = claimed()
    lifecycle.complete(job_id=job.pk, lease=lease_of(job))
    with pytest.raises(JobEnded, match="COMPLETED"):
        job_operations.set_priority(job_id=job.pk, priority=1, by="bob")
    assert not AuditEntry.objects.filter(action="job.priority").exists()
