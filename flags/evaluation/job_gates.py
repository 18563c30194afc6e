"""The gates of the job queue as flags: a master and one for each trigger.

A job goes through the queue while the master and the gate of its trigger are on. They are flags like all others, so
they roll out by percentage, by organization and by environment. A gate that nobody has defined, or that is archived, is
on.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from flags.definitions import service
from flags.definitions.models import Flag
from flags.errors import FlagNotFound
from flags.evaluation.engine import EvaluationContext
from flags.evaluation.explain import check
from jobs.engine.models import Job
from jobs.operations.enqueue import PRIORITIES

ALL = 100
MASTER = "jobs-queue"
OF_TRIGGER = {trigger: f"jobs-trigger-{trigger.value}" for trigger in PRIORITIES}
DESCRIPTIONS = {
    MASTER: "Jobs that somebody enqueues wait for a worker. Off: they run at once, in the process that enqueues them.",
    OF_TRIGGER[
        Job.Trigger.ADMIN
    ]: "Jobs that operators enqueue wait for a worker. Off: they run at once, for the operator.",
    OF_TRIGGER[Job.Trigger.SCHEDULE]: "Jobs of periodic tasks wait for a worker. Off: they run at once, in beat.",
    OF_TRIGGER[Job.Trigger.EVENT]: "Jobs of events wait for a worker. Off: they run at once, with the event.",
}
"""The gates with what they are for, in the order in which people see them."""


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate, as people see it."""

    key: str
    description: str
    is_on: bool = True
    rollout: Decimal | None = None
    """The percentage of the jobs that go through the queue, if it is not all or none."""
    flag_id: int | None = None
    """The id of the flag; None if nobody has defined it."""


def allows(trigger: Job.Trigger, organization_id: int | None, unit: str) -> bool:
    """Return whether the gates let a job go through the queue: one query, as long as nobody has defined a gate."""
    keys = [MASTER, OF_TRIGGER[Job.Trigger(trigger)]]
    context = EvaluationContext(targeting_key=unit)
    return all(
        check(key=key, organization_id=organization_id, context=context).decision.enabled
        for key in Flag.objects.filter(key__in=keys, archived=False).order_by("key").values_list("key", flat=True)
    )


def all_gates() -> list[Gate]:
    """Return the master and the gates of the triggers."""
    flags = {flag.key: flag for flag in Flag.objects.filter(key__in=DESCRIPTIONS, archived=False)}
    return [_gate(key, flags.get(key)) for key in DESCRIPTIONS]


def switch(key: str, *, on: bool, by: str, reason: str = "") -> Flag | None:
    """Switch a gate on or off at once, and define its flag if it is missing. Its rollout stays.

    Returns the flag; None if there was nothing to do. Raises FlagNotFound if the key is not the key of a gate, and the
    errors of `flags.definitions.service`.
    """
    if key not in DESCRIPTIONS:
        raise FlagNotFound(f"There is no gate {key!r}. The gates are: {', '.join(DESCRIPTIONS)}.")
    flag = Flag.objects.filter(key=key).first()
    if flag is None and on:
        return None
    if flag is None:
        values = {"description": DESCRIPTIONS[key], "enabled": True, "killed": True, "rollout_percentage": None}
        return service.create(key=key, values=values, by=by, reason=reason)
    return service.update(key=key, values={"killed": not on} | ({"enabled": True} if on else {}), by=by, reason=reason)


def _gate(key: str, flag: Flag | None) -> Gate:
    if flag is None:
        return Gate(key, DESCRIPTIONS[key])
    is_on = flag.enabled and not flag.killed
    rollout = flag.rollout_percentage if is_on and flag.rollout_percentage != ALL else None
    return Gate(key, DESCRIPTIONS[key], is_on, rollout, flag.pk)
