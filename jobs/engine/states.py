"""The statuses of a job and the allowed transitions: one table for the code, the trigger, the tests and the docs."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import TextChoices


class Status(TextChoices):
    """The status of a job. RETRYING means that this attempt failed and that a later attempt of its chain is open."""

    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    RETRYING = "RETRYING"
    CANCELLED = "CANCELLED"


OPEN = frozenset({Status.PENDING, Status.IN_PROGRESS})
"""The statuses of an attempt that waits or runs."""


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
    "lose_cancelled": Transition(Status.IN_PROGRESS, Status.CANCELLED, Guard.EXPIRED),
    "settle": Transition(Status.RETRYING, Status.FAILED),
    "reopen": Transition(Status.FAILED, Status.RETRYING),
}


def allowed() -> frozenset[tuple[str, str]]:
    """Return the pairs of source status and target status that have a transition."""
    return frozenset((step.source.value, step.target.value) for step in TRANSITIONS.values())
