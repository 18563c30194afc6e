"""The statuses of a job and the allowed transitions: one table for the code, the trigger, the tests and the docs.

The status of a job tells how its work stands. While an attempt is the latest of its chain, this is how the attempt
stands. As soon as a retry follows, the status is RETRYING, and at the end of the chain it becomes the status of the
chain. How the attempt itself ended is in another column, `ended_as`, which PostgreSQL writes once (ENDINGS).
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import TextChoices


class Status(TextChoices):
    """The status of a job. RETRYING means that a later attempt of its chain waits or runs."""

    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    RETRYING = "RETRYING"
    CANCELLED = "CANCELLED"


OPEN = frozenset({Status.PENDING, Status.IN_PROGRESS})
"""The statuses of an attempt that waits or runs."""
FINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
"""The statuses that change only if a person retries the job."""
ATTEMPT_STATUSES = [(status.value, status.label) for status in Status if status != Status.RETRYING]
"""How an attempt by itself can stand: how it ended, or a status of OPEN."""
ENDINGS = {
    Status.COMPLETED: Status.COMPLETED,
    Status.FAILED: Status.FAILED,
    Status.RETRYING: Status.FAILED,
    Status.CANCELLED: Status.CANCELLED,
}
"""How an attempt has ended, by the status that it gets when it ends."""


class Guard(TextChoices):
    """A condition of a transition, in addition to the status."""

    NONE = "none"
    LEASE = "the lease's token"
    EXPIRED = "an expired lease"


@dataclass(frozen=True, slots=True)
class Transition:
    """A named step from one status to another."""

    source: Status
    target: Status
    guard: Guard = Guard.NONE


TRANSITIONS: dict[str, Transition] = {
    "claim": Transition(Status.PENDING, Status.IN_PROGRESS),
    "cancel": Transition(Status.PENDING, Status.CANCELLED),
    "release": Transition(Status.IN_PROGRESS, Status.PENDING, Guard.LEASE),
    "stop": Transition(Status.IN_PROGRESS, Status.CANCELLED, Guard.LEASE),
    "complete": Transition(Status.IN_PROGRESS, Status.COMPLETED, Guard.LEASE),
    "fail": Transition(Status.IN_PROGRESS, Status.FAILED, Guard.LEASE),
    "fail_for_now": Transition(Status.IN_PROGRESS, Status.RETRYING, Guard.LEASE),
    "lose": Transition(Status.IN_PROGRESS, Status.FAILED, Guard.EXPIRED),
    "lose_for_now": Transition(Status.IN_PROGRESS, Status.RETRYING, Guard.EXPIRED),
    "lose_unknown": Transition(Status.IN_PROGRESS, Status.PENDING, Guard.EXPIRED),
    "lose_cancelled": Transition(Status.IN_PROGRESS, Status.CANCELLED, Guard.EXPIRED),
    "heal": Transition(Status.RETRYING, Status.COMPLETED),
    "give_up": Transition(Status.RETRYING, Status.FAILED),
    "withdraw": Transition(Status.RETRYING, Status.CANCELLED),
    "reopen": Transition(Status.FAILED, Status.RETRYING),
    "complete_the_rest": Transition(Status.COMPLETED, Status.RETRYING),
}
END_OF_EARLIER_ATTEMPTS = {Status.COMPLETED: "heal", Status.FAILED: "give_up", Status.CANCELLED: "withdraw"}
"""The transition of the earlier attempts of a chain, by the status with which the chain ends."""
REOPENINGS = ("reopen", "complete_the_rest")
"""The transitions of the attempts of an ended chain when a person retries it."""


def allowed() -> frozenset[tuple[str, str]]:
    """Return the pairs of source status and target status that have a transition."""
    return frozenset((step.source.value, step.target.value) for step in TRANSITIONS.values())
