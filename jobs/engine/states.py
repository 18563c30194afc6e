"""A job's statuses and the only ways from one to another: one table that code, trigger, tests and docs share."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import TextChoices


class Status(TextChoices):
    """Where a job stands. A RETRYING one failed, and a later attempt of its chain waits or runs."""

    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    RETRYING = "RETRYING"
    CANCELLED = "CANCELLED"


OPEN = frozenset({Status.PENDING, Status.IN_PROGRESS})
"""Statuses of an attempt that is still to be made or is being made."""


class Guard(TextChoices):
    """What a move asks for beside the status."""

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
    """Every (from, to) that is in the table."""
    return frozenset((move.source.value, move.target.value) for move in TRANSITIONS.values())
