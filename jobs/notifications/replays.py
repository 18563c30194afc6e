"""The replay of many deliveries: in the request, or, if they are more than 200, in a job of its own.

The job has the ids of the deliveries, so that later ones are not among them. The replay of one delivery and the
checkpoint are one transaction. So no delivery is replayed twice, however often the worker is killed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from flagsite.core import actor
from jobs.engine import lifecycle
from jobs.engine.kinds import DEFAULT_STALL_SECONDS, job_kind
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.errors import DeliveryOpen
from jobs.notifications import deliveries
from jobs.notifications.models import Delivery, DeliveryState
from jobs.operations import requester_rights
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.access.visible_organizations import OrganizationName, find_visible_organization
from orgs.audit import audit_log
from orgs.tree.models import Organization

KIND = "replay"
MOST_IN_REQUEST = 200
MOST = 10_000
"""Of one replay. Another one goes on with those that are left."""
ENDED = (DeliveryState.FAILED, DeliveryState.OUTBOX, DeliveryState.CANCELLED, DeliveryState.SENT)
AGAIN = "Somebody who may replay deliveries can request it again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The deliveries to replay. A delivery matches all of it; `organization` stands for its whole subtree."""

    status: str = DeliveryState.FAILED
    channel: str = ""
    subscription_id: int | None = None
    organization: OrganizationName | None = None
    since: datetime | timedelta | None = None
    """A time, or a duration before now by the database's clock: deliveries that were created then or later."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay has done: the number of replayed and of skipped deliveries, or the job that replays them.

    `left` counts the matching deliveries beyond MOST.
    """

    count: int = 0
    skipped: int = 0
    left: int = 0
    job: Job | None = None


def selected(caller: Caller, selection: Selection) -> QuerySet[Delivery]:
    """Return the deliveries that the caller may see and that match. Raises OrganizationNotFound."""
    rows = deliveries.visible_deliveries(caller).filter(state=selection.status)
    if selection.channel:
        rows = rows.filter(channel=selection.channel)
    if selection.subscription_id is not None:
        rows = rows.filter(subscription_id=selection.subscription_id)
    if selection.organization is not None:
        top = find_visible_organization(caller, selection.organization)
        rows = rows.filter(organization_id__in=Organization.objects.under(top).values("pk"))
    if selection.since is not None:
        moment = Now() - selection.since if isinstance(selection.since, timedelta) else selection.since
        rows = rows.filter(created_at__gte=moment)
    return rows


def replay_all(caller: Caller, rows: QuerySet[Delivery], *, reason: str = "", at_once: bool = False) -> Replayed:
    """Replay these deliveries of the caller, oldest first: now, or in a job if they are more than MOST_IN_REQUEST.

    `at_once` replays all of them now. A delivery that is under way, or that is gone, is skipped.
    """
    ids = list(rows.order_by("pk").values_list("pk", flat=True)[:MOST])
    left = rows.count() - len(ids) if len(ids) == MOST else 0
    if len(ids) > MOST_IN_REQUEST and not at_once:
        return Replayed(left=left, job=_start(caller, ids, reason))
    replayed = sum(_replay_one(number, by=caller.name, reason=reason) for number in ids)
    return Replayed(replayed, len(ids) - replayed, left)


def _start(caller: Caller, ids: list[int], reason: str) -> Job:
    context = actor.current()
    arguments = {
        "deliveries": ids, "by": caller.name, "reason": reason, "via": context.channel, "address": context.address,
    }  # fmt: skip
    with transaction.atomic():
        job = lifecycle.create(
            kind=KIND, organization_id=caller.organization_id, arguments=arguments, requested_by=caller.name,
            correlation_id=context.correlation_id, total=len(ids),
        )  # fmt: skip
        audit_log.record(
            "deliveries.replay", f"job:{job.pk}", by=caller.name, organization_id=caller.organization_id,
            reason=reason, deliveries=len(ids),
        )  # fmt: skip
    return job


def _replay_one(number: int, *, by: str, reason: str) -> bool:
    """Replay one delivery. Returns whether it was replayed: it may be under way, or gone."""
    delivery = Delivery.objects.filter(pk=number).first()
    if delivery is None:
        return False
    try:
        deliveries.replay(delivery, by=by, reason=reason)
    except DeliveryOpen:
        return False
    return True


@job_kind(KIND, queue=deliveries.QUEUE, stall_seconds=DEFAULT_STALL_SECONDS, continues=True)
def replay_deliveries(run: Run) -> None:
    """Replay each of the deliveries. Raises PermanentFailure if the requester may no longer do it."""
    arguments = run.job.arguments
    ids, by, reason = arguments["deliveries"], arguments["by"], arguments["reason"]
    requester_rights.check_may_still(by, Role.OPERATOR, organization_id=run.job.organization_id, again=AGAIN)
    start = (run.job.checkpoint or {}).get("next", 0)
    run.record_progress(processed=start - run.job.processed, total=len(ids))
    with actor.acting(arguments["via"], address=arguments["address"]):
        for position, number in enumerate(ids[start:], start=start + 1):
            run.check()
            with transaction.atomic():
                done = _replay_one(number, by=by, reason=reason)
                run.record_progress(processed=1, unchanged=int(not done), checkpoint={"next": position})
