"""Who acts in workers: the system, explicitly, for the job's own correlation id, and nobody else's afterwards."""

from __future__ import annotations

import contextvars
from typing import Any

import pytest
from celery import current_app
from pytest_django import DjangoCaptureOnCommitCallbacks

from flagsite.core import actor
from flagsite.core.actor import SYSTEM, ActionContext, acting
from jobs.engine import runner
from jobs.engine.rescuer_service import RescuerService
from jobs.engine.run import Run
from jobs.tests.engine_steps import QUEUE, doing, waiting
from orgs.audit.models import AuditEntry

pytestmark = pytest.mark.django_db


def test_in_a_job_the_worker_acts_and_afterwards_whoever_did_before() -> None:
    seen: list[ActionContext] = []

    def look(run: Run) -> None:
        seen.append(actor.current())

    first, second = waiting(correlation_id="c-1"), waiting(correlation_id="")
    with doing(look), acting("command", actor="command:olga@desk", correlation_id="mine"):
        before = actor.current()
        assert [runner.run_next(QUEUE), runner.run_next(QUEUE)] == [first, second]
        assert actor.current() is before
    assert seen == [ActionContext(SYSTEM, "worker", "", "c-1"), ActionContext(SYSTEM, "worker", "", "")]


def test_a_job_that_a_request_runs_is_not_the_requests_own(
    settings: Any, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    settings.JOBS_INLINE = True
    seen: list[ActionContext] = []

    def look(run: Run) -> None:
        seen.append(actor.current())

    with doing(look), acting("api", actor="key:abc nightly", address="192.0.2.7", correlation_id="r-1"):
        before = actor.current()
        with django_capture_on_commit_callbacks(execute=True):
            waiting(correlation_id="r-0")
        assert actor.current() is before
    assert seen == [ActionContext(SYSTEM, "worker", "", "r-0")]


def test_what_beat_asks_for_comes_through_the_channel_worker() -> None:
    contextvars.Context().run(current_app.tasks["jobs.clean_up"])
    entry = AuditEntry.objects.get(action="job.enqueue")
    assert (entry.actor, entry.via) == ("schedule", "worker")


def test_the_actor_of_a_workers_own_services_is_the_system() -> None:
    seen: list[ActionContext] = []
    service = RescuerService(queues=lambda: [QUEUE], concurrency=1)
    contextvars.Context().run(service.attempt, lambda: seen.append(actor.current()))
    assert seen == [ActionContext(SYSTEM, "worker")]
