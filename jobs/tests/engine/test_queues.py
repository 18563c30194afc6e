"""What people do to queues: a pause holds, shows who and why, and a change counts from the next claim or failure on."""

from __future__ import annotations

import pytest

from jobs.engine import claiming, lifecycle
from jobs.errors import InvalidQueueSettings, UnknownQueue
from jobs.operations import queue_operations
from jobs.tests.engine_steps import QUEUE, claimed, lease_of, waiting
from orgs.audit.models import AuditEntry

pytestmark = pytest.mark.django_db


def audit_entries() -> list[tuple[str, str, str, str]]:
    rows = AuditEntry.objects.filter(subject=f"queue:{QUEUE}").order_by("id")
    return [(row.action, row.actor, row.reason, str(row.details.get("after", ""))) for row in rows]


def test_nothing_starts_in_a_paused_queue_until_it_is_resumed() -> None:
    job = waiting()
    paused = queue_operations.pause(QUEUE, by="olga", reason="deploy")
    assert (paused.paused_at is not None, paused.paused_by, paused.pause_reason) == (True, "olga", "deploy")
    assert claiming.claim(queue=QUEUE, worker="w") is None
    resumed = queue_operations.resume(QUEUE, by="olga")
    assert (resumed.paused_at, resumed.paused_by, resumed.pause_reason) == (None, "", "")
    assert claiming.claim(queue=QUEUE, worker="w") == job


def test_a_second_pause_changes_nothing() -> None:
    first = queue_operations.pause(QUEUE, by="olga", reason="deploy")
    second = queue_operations.pause(QUEUE, by="bob", reason="me too")
    assert (second.paused_at, second.paused_by) == (first.paused_at, "olga")
    queue_operations.resume(QUEUE, by="bob")
    queue_operations.resume(QUEUE, by="bob")
    assert [entry[:3] for entry in audit_entries()] == [("queue.pause", "olga", "deploy"), ("queue.resume", "bob", "")]


def test_a_change_counts_from_the_next_claim_on() -> None:
    waiting(), waiting()
    queue_operations.change(QUEUE, by="olga", concurrency=1)
    assert claiming.claim(queue=QUEUE, worker="w") is not None
    assert claiming.claim(queue=QUEUE, worker="w") is None
    queue_operations.change(QUEUE, by="olga", concurrency=None)
    assert claiming.claim(queue=QUEUE, worker="w") is not None
    assert len(audit_entries()) == 2
    assert "'concurrency': 1" in audit_entries()[0][3]


def test_a_change_that_changes_nothing_is_not_recorded() -> None:
    queue_operations.change(QUEUE, by="olga", max_retries=3)
    assert audit_entries() == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_retries": 11}, "less than or equal to 10"),
        ({"backoff_base": 0.5}, "greater than or equal to 1"),
        ({"concurrency": 0}, "greater than or equal to 1"),
    ],
)
def test_nonsense_is_refused_in_words(settings: dict[str, float], words: str) -> None:
    with pytest.raises(InvalidQueueSettings, match=words):
        queue_operations.change(QUEUE, by="olga", **settings)
    assert audit_entries() == []


def test_a_queue_that_is_not_there_is_said_so() -> None:
    for act in (queue_operations.pause, queue_operations.resume, queue_operations.change):
        with pytest.raises(UnknownQueue, match="There is no queue 'mist'"):
            act("mist", by="olga")


def test_a_line_tells_what_is_due_what_comes_later_and_what_runs() -> None:
    failed = claimed()
    lifecycle.fail(job_id=failed.pk, lease=lease_of(failed), error="no")  # its retry is due later
    claimed()
    first, _ = waiting(), waiting()
    (line,) = [line for line in queue_operations.queue_statuses() if line.queue.name == QUEUE]
    assert (line.due, line.later, line.running, line.oldest_due_at) == (2, 1, 1, first.run_at)
