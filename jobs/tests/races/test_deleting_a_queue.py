"""A job that is created or retried in a queue while the queue is deleted: one of both is refused."""

from __future__ import annotations

from functools import partial

import pytest
from django.db import transaction

from jobs.engine import claiming, lifecycle
from jobs.engine.models import Job
from jobs.errors import QueueInUse
from jobs.operations import job_operations, queue_operations
from jobs.operations.enqueue import enqueue
from jobs.tests.engine_steps import lease_of
from jobs.tests.operations.test_queues_as_rows import KIND, NAME
from jobs.tests.races.threads import Background
from orgs.tests.commands import OLGA

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("wake_ups")]
deleting = partial(queue_operations.delete, NAME, by=OLGA)


@pytest.fixture(autouse=True)
def queue() -> None:
    queue_operations.create(NAME, by=OLGA)


def test_a_queue_is_not_deleted_below_a_job_that_is_just_being_created() -> None:
    with transaction.atomic():
        enqueue(kind=KIND, queue=NAME)
        deletion = Background(deleting)
        deletion.wait_until_blocked()
    with pytest.raises(QueueInUse):
        deletion.result()


def test_a_queue_is_not_deleted_below_a_job_that_a_person_just_retries() -> None:
    job = enqueue(kind=KIND, queue=NAME).job
    claimed = claiming.claim(queue=NAME, worker="w")
    assert claimed is not None
    lifecycle.fail(job_id=job.pk, lease=lease_of(claimed), error="no", permanent=True)
    with transaction.atomic():
        job_operations.retry(job_id=job.pk, by=OLGA)
        deletion = Background(deleting)
        deletion.wait_until_blocked()
    with pytest.raises(QueueInUse):
        deletion.result()


def test_a_claim_does_not_wait_for_the_creation_of_a_job() -> None:
    first = enqueue(kind=KIND, queue=NAME).job
    with transaction.atomic():
        enqueue(kind=KIND, queue=NAME)
        claimed = Background(partial(claiming.claim, queue=NAME, worker="w")).result()
        assert claimed == first
    assert Job.objects.count() == 2
