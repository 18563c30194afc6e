"""The rescuer wakes workers for what is due, often enough and not too often."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F
from django.db.models.functions import Now

from jobs.engine import rescuer
from jobs.engine.models import Job, Queue
from jobs.tests.engine_steps import QUEUE, claimed, waiting

pytestmark = pytest.mark.django_db


def test_each_due_job_has_one_wake_up_in_fifteen_seconds(wake_ups: list[str]) -> None:
    Job.objects.bulk_create([Job(kind="k", queue=QUEUE), Job(kind="k", queue="propagation")])
    assert [rescuer.wake_waiting() for _ in range(3)] == [2, 0, 0]
    assert sorted(wake_ups) == ["default", "propagation"]
    Job.objects.update(woken_at=F("woken_at") - timedelta(seconds=16))
    assert rescuer.wake_waiting() == 2


def test_only_what_may_start_is_woken(wake_ups: list[str]) -> None:
    claimed()
    waiting(run_at=Now() + timedelta(seconds=60))
    waiting(queue="propagation")
    Queue.objects.filter(name="propagation").update(paused_at=Now())
    wake_ups.clear()
    assert rescuer.wake_waiting() == 0
    assert wake_ups == []


def test_a_job_handed_back_is_woken_at_once(wake_ups: list[str]) -> None:
    waiting(woken_at=Now())
    assert rescuer.wake_waiting() == 0
    Job.objects.update(woken_at=None)
    assert rescuer.wake_waiting() == 1


def test_a_run_of_the_rescuer_wakes_a_bounded_number_the_most_urgent_first(wake_ups: list[str]) -> None:
    low, high, middle = waiting(priority=1), waiting(priority=3), waiting(priority=2)
    assert rescuer.wake_waiting(at_most=2) == 2
    assert list(Job.objects.filter(woken_at=None)) == [low]
    assert {high.pk, middle.pk} == set(Job.objects.exclude(woken_at=None).values_list("pk", flat=True))
