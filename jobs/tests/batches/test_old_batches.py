"""The clean-up: a batch goes with its last chain, and no member goes before its batch has ended long ago."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.batches.models import Batch
from jobs.batches.operations import retry_failed_members
from jobs.engine import runner
from jobs.engine.models import Job
from jobs.operations import cleanup
from jobs.tests.batches.batch_steps import KIND, batch_of, claim, complete, fail

pytestmark = pytest.mark.django_db


def aged(batch: Batch, days: float) -> None:
    """Let everything in the batch that has ended, and its end, have ended so many days ago."""
    end = timezone.now() - timedelta(days=days)
    Job.objects.filter(batch=batch).update(created_at=end)
    Job.objects.filter(batch=batch).exclude(ended_as="").update(completed_at=end)
    Batch.objects.filter(pk=batch.pk).exclude(outcome="").update(finished_at=end)


def clean_up() -> None:
    cleanup.request(by="olga")
    assert runner.run_next("cleanup") is not None


def kept() -> tuple[int, int]:
    """The numbers of batches and of members."""
    return Batch.objects.count(), Job.objects.filter(kind=KIND).count()


def test_a_member_stays_as_long_as_its_batch_is_open() -> None:
    batch = batch_of(2)
    complete(claim())
    aged(batch, 400)
    clean_up()
    assert kept() == (1, 2)


@pytest.mark.parametrize(
    ("outcome", "days", "stays"),
    [("SUCCEEDED", 29.9, True), ("SUCCEEDED", 30.1, False), ("PARTIAL", 6.9, True), ("PARTIAL", 7.1, False)],
)
def test_all_members_go_together_when_the_days_of_the_outcome_are_over(outcome: str, days: float, stays: bool) -> None:
    batch = batch_of(2)
    complete(claim())
    (complete if outcome == "SUCCEEDED" else fail)(claim())
    assert Batch.objects.get(pk=batch.pk).outcome == outcome
    aged(batch, days)
    assert cleanup.old_jobs().others["batches"] == 0
    clean_up()
    assert kept() == ((1, 2) if stays else (0, 0))


def test_an_old_batch_that_a_person_has_reopened_stays() -> None:
    batch = batch_of(2)
    complete(claim()), fail(claim())  # type: ignore[func-returns-value]
    aged(batch, 400)
    retry_failed_members(batch.pk, by="olga")
    clean_up()
    assert kept() == (1, 3)


def test_an_old_batch_without_members_goes() -> None:
    batch, young = batch_of(0), batch_of(0)
    aged(batch, 400)
    assert cleanup.old_jobs().others["batches"] == 1
    clean_up()
    assert list(Batch.objects.all()) == [young]
