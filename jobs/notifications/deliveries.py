"""Deliveries: one message to one recipient each, sent by a chain of jobs.

A worker may be killed after the receiver has got a message and before the delivery says so. The next attempt then sends
it once more, with the same message id, so that the receiver can recognize the double.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import structlog
from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from flagsite.core import actor, secret_text
from flagsite.core.secret_text import SecretUnreadable
from flagsite.core.site_address import page_address
from flagsite.core.storable_text import storable
from jobs.engine import backoff, lifecycle, new_jobs, transitions
from jobs.engine.kinds import job_kind, kind_named
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.engine.states import Status
from jobs.errors import DeliveryFailed, DeliveryNotFound, DeliveryOpen, NothingLeftToDo, PermanentFailure
from jobs.notifications import digest, events
from jobs.notifications.channels import webhook
from jobs.notifications.channels.all_channels import way
from jobs.notifications.message import Message, NotDelivered
from jobs.notifications.models import Channel, Delivery, DeliveryState, Subscription
from orgs.access.caller import Caller
from orgs.access.visible_organizations import visible_organizations
from orgs.audit import audit_log

log = structlog.get_logger(__name__)
KIND = "delivery"
WEBHOOK_KIND = "webhook"
QUEUE = "notification"
ATTEMPT_SECONDS = 90.0
ENDS = {
    Status.FAILED: DeliveryState.FAILED,
    Status.CANCELLED: DeliveryState.CANCELLED,
}
"""The status of a delivery by the status with which its chain ends, if nothing was sent."""
SET_JOBS = """
UPDATE jobs_delivery delivery SET job_id = own.job_id
  FROM unnest(%s::bigint[], %s::bigint[]) AS own (id, job_id) WHERE delivery.id = own.id
"""
OPEN = (DeliveryState.GATHERING, DeliveryState.PENDING)


def create(
    *, channel: str, target: str, subject: str, text: str, organization_id: int | None = None, by: str = ""
) -> Delivery:
    """Create a delivery to a checked address and the job that sends it, in the caller's transaction."""
    delivery = new(channel=channel, target=target, subject=subject, text=text, organization_id=organization_id, by=by)
    return _stored(delivery)


def create_for(subscription: Subscription, *, subject: str, text: str, by: str = "") -> Delivery:
    """Create a delivery to the address of a subscription and the job that sends it, in the caller's transaction."""
    return _stored(new_for(subscription, subject=subject, text=text, by=by))


def create_many(deliveries: Sequence[Delivery]) -> None:
    """Store deliveries of `new` and `new_for`, and create their jobs, in the caller's transaction.

    The number of statements does not depend on the number of deliveries.
    """
    Delivery.objects.bulk_create(deliveries)
    queue = transitions.queue_named(QUEUE)
    jobs = [
        lifecycle.new_job(
            kind_named(_kind(delivery)), QUEUE, max_retries=backoff.retries_allowed(_kind(delivery), queue),
            **_work(delivery),
        )
        for delivery in deliveries
    ]  # fmt: skip
    new_jobs.create_many(jobs)
    for delivery, job in zip(deliveries, jobs, strict=True):
        delivery.job_id = job.pk
        transitions.log_on_commit(log.info, "job_created", **transitions.log_fields(job), kind=job.kind)
    with connection.cursor() as cursor:
        cursor.execute(SET_JOBS, [[delivery.pk for delivery in deliveries], [job.pk for job in jobs]])


def new(
    *, channel: str, target: str, subject: str, text: str, organization_id: int | None = None, by: str = ""
) -> Delivery:
    """Return a delivery to a checked address, which is not stored yet."""
    return _new(
        by=by,
        channel=channel,
        target=secret_text.encrypt(target),
        target_shown=way(channel).shown(target)[:300],
        subject=subject[:300],
        text=text,
        organization_id=organization_id,
    )


def new_for(subscription: Subscription, *, subject: str, text: str, by: str = "") -> Delivery:
    """Return a delivery to the address of a subscription, which is not stored yet."""
    return _new(by=by, subject=subject[:300], text=text, **_of(subscription))


def gather_for(subscription: Subscription, events: Mapping[str, Any]) -> Delivery:
    """Create a delivery that gathers events for as long as the subscription says. Its words are made when it is sent.

    The subscription must have no other delivery that gathers.
    """
    wait = timedelta(seconds=subscription.digest_seconds)
    return _stored(_new(events=dict(events), state=DeliveryState.GATHERING, **_of(subscription)), wait=wait)


def _of(subscription: Subscription) -> dict[str, Any]:
    """Return the columns that a delivery takes from its subscription; the address stays encrypted."""
    names = ("channel", "organization_id", "target", "target_shown")
    return {"subscription": subscription} | {name: getattr(subscription, name) for name in names}


def _new(*, by: str = "", **columns: Any) -> Delivery:
    return Delivery(message_id=f"msg_{uuid4().hex}", requested_by=by or actor.current().actor, **columns)


def _stored(delivery: Delivery, *, wait: timedelta = timedelta()) -> Delivery:
    delivery.save(force_insert=True)
    _start(delivery, wait=wait, by=delivery.requested_by)
    return delivery


def _kind(delivery: Delivery) -> str:
    return WEBHOOK_KIND if delivery.channel == Channel.WEBHOOK else KIND


def _work(delivery: Delivery, *, by: str = "") -> dict[str, Any]:
    """Return the columns of the job that sends the delivery."""
    return {
        "arguments": {"deliveryId": delivery.pk, "subscriptionId": delivery.subscription_id},
        "organization_id": delivery.organization_id,
        "requested_by": by or delivery.requested_by,
        "correlation_id": actor.current().correlation_id,
        "trigger": Job.Trigger.EVENT,
    }


def _start(delivery: Delivery, *, by: str, wait: timedelta = timedelta()) -> None:
    """Create the chain that sends the delivery."""
    job = lifecycle.create(kind=_kind(delivery), wait=wait, **_work(delivery, by=by))
    delivery.job_id = job.pk
    Delivery.objects.filter(pk=delivery.pk).update(job_id=job.pk)


def visible_deliveries(caller: Caller) -> QuerySet[Delivery]:
    """Return the deliveries that the caller may see."""
    rows = Delivery.objects.all()
    if caller.organization_id is None:
        return rows
    return rows.filter(organization_id__in=visible_organizations(caller).values("pk"))


def delivery_for(caller: Caller, delivery_id: int) -> Delivery:
    """Return the delivery. Raises DeliveryNotFound."""
    found = visible_deliveries(caller).filter(pk=delivery_id).first()
    if found is None:
        raise DeliveryNotFound
    return found


def replay(delivery: Delivery, *, by: str, reason: str = "") -> Delivery:
    """Send a delivery that has ended once more, with the same message id. Raises DeliveryOpen."""
    with transaction.atomic():
        locked = Delivery.objects.select_for_update().get(pk=delivery.pk)
        if locked.state in OPEN:
            raise DeliveryOpen
        before = locked.state
        Delivery.objects.filter(pk=locked.pk).update(state=DeliveryState.PENDING, error="")
        _start(locked, by=by)
        audit_log.record(
            "delivery.replay", f"delivery:{locked.pk}", by=by, reason=reason, organization_id=locked.organization_id,
            before=before, jobId=locked.job_id,
        )  # fmt: skip
        locked.refresh_from_db()
    return locked


def follow_end(job: Job, status: Status) -> None:
    """Give the delivery the status of a chain that has ended without sending it (rule of the kinds)."""
    if status in ENDS:
        chain = {"pk": job.arguments.get("deliveryId"), "job_id": job.root_id}  # a replay has a chain of its own
        open_one = Delivery.objects.filter(**chain, state__in=OPEN)
        open_one.update(state=ENDS[Status(status)])


@job_kind(
    KIND,
    queue=QUEUE,
    summary="Send one message to one recipient.",
    attempt_seconds=ATTEMPT_SECONDS,
    on_end=follow_end,
    follows_success=lambda: False,
    is_told=False,
)
@job_kind(
    WEBHOOK_KIND,
    queue=QUEUE,
    summary="Send one message to a webhook.",
    attempt_seconds=ATTEMPT_SECONDS,
    retry_waits=webhook.RETRY_WAITS,
    concurrency_key=lambda _, arguments: str(arguments.get("subscriptionId")),  # a slow receiver holds up one process
    on_end=follow_end,
    follows_success=lambda: False,
    is_told=False,
)
def deliver(run: Run) -> None:
    """Send the message of a delivery. An address that is gone and a message that is refused are permanent failures."""
    delivery = _closed(run.job.arguments["deliveryId"], chain=run.job.root_id)
    if delivery.state == DeliveryState.SENT:  # by an attempt whose worker died before it could say so
        return
    the_way = way(delivery.channel)
    if not the_way.is_set():
        Delivery.objects.filter(pk=delivery.pk).update(
            state=DeliveryState.OUTBOX, error=f"Nothing was sent, because {the_way.setting} is not set."
        )
        return
    try:
        message = _message(delivery)
    except (PermanentFailure, SecretUnreadable) as failure:
        Delivery.objects.filter(pk=delivery.pk).update(error=failure.detail)
        raise PermanentFailure(failure.detail) from None
    own = Delivery.objects.filter(pk=delivery.pk, job_id=run.job.root_id)
    if not own.update(state=DeliveryState.PENDING, attempts=F("attempts") + 1):
        raise NothingLeftToDo("A replay sends the delivery.")
    try:
        answer = storable(the_way.send(message))  # a receiver may answer anything; the message is sent all the same
    except NotDelivered as failure:
        _record_failure(delivery, failure)
        if failure.is_permanent:
            raise PermanentFailure(failure.error) from None
        raise DeliveryFailed(failure.error) from None
    Delivery.objects.filter(pk=delivery.pk).update(
        state=DeliveryState.SENT, provider_id=answer[:300], error="", sent_at=Now()
    )
    log.info("delivery_sent", deliveryId=delivery.pk, channel=delivery.channel, organizationId=delivery.organization_id)


def _closed(delivery_id: int, *, chain: int) -> Delivery:
    """Return the delivery. If it has gathered events, they are now one message.

    Raises NothingLeftToDo if it was deleted, or if a replay has started another chain meanwhile, which sends it.
    """
    delivery = Delivery.objects.filter(pk=delivery_id).first()
    if delivery is not None and delivery.state == DeliveryState.GATHERING:
        delivery = _end_of_gathering(delivery_id)
    if delivery is None:
        raise NothingLeftToDo("The delivery was deleted.")
    if delivery.job_id != chain:
        raise NothingLeftToDo(f"Job {delivery.job_id} sends the delivery.")
    return delivery


def _end_of_gathering(delivery_id: int) -> Delivery | None:
    """Make one message of the events that the delivery has gathered. Only this needs a lock of the delivery."""
    with transaction.atomic():
        delivery = Delivery.objects.select_for_update().filter(pk=delivery_id).first()
        if delivery is not None and delivery.state == DeliveryState.GATHERING:
            delivery.subject, delivery.text = digest.words(delivery.events)
            delivery.state = DeliveryState.PENDING
            delivery.save(update_fields=["subject", "text", "state"])
    return delivery


def _message(delivery: Delivery) -> Message:
    """Return what the channel sends. Raises PermanentFailure if the subscription has ended, or SecretUnreadable."""
    subscription = delivery.subscription
    if delivery.channel == Channel.WEBHOOK and subscription is None:
        raise PermanentFailure("The subscription was deleted.")
    if subscription is not None and subscription.ended_because:
        raise PermanentFailure(f"The subscription has ended: {subscription.ended_because}")
    return Message(
        id=delivery.message_id,
        target=secret_text.decrypt(delivery.target),
        subject=delivery.subject,
        text=delivery.text,
        secrets=_secrets(subscription) if subscription is not None else (),
        url=digest.only_address(delivery.events) or page_address("admin:jobs_delivery_change", delivery.pk),
        created_at=delivery.created_at,
        events=delivery.events,
    )


def _secrets(subscription: Subscription) -> tuple[str, ...]:
    """Return the secrets that sign now. A former one whose time is over is deleted."""
    secrets = [subscription.secret] if subscription.secret else []
    if subscription.former_secret:
        ended = Subscription.objects.filter(pk=subscription.pk, former_secret_until__lte=Now())
        if not ended.update(former_secret="", former_secret_until=None):
            secrets.append(subscription.former_secret)
    return tuple(map(secret_text.decrypt, secrets))


def _record_failure(delivery: Delivery, failure: NotDelivered) -> None:
    """Store why the attempt failed. A subscription whose address is gone ends, and only this one."""
    with transaction.atomic():
        if failure.is_gone and delivery.subscription_id:  # first: a subscription is locked before its deliveries
            end_subscription(delivery.subscription_id, failure.error)
        Delivery.objects.filter(pk=delivery.pk).update(error=failure.error)
    log.warning(
        "delivery_failed", deliveryId=delivery.pk, channel=delivery.channel, error=failure.error,
        isPermanent=failure.is_permanent,
    )  # fmt: skip


def end_subscription(subscription_id: int, why: str) -> None:
    """End a subscription whose address is gone. A push subscription is deleted, since its browser makes a new one."""
    row = Subscription.objects.filter(pk=subscription_id)
    subscription = row.select_for_update().first()
    if subscription is None:
        return
    if subscription.channel == Channel.PUSH:
        row.delete()
    else:
        row.update(ended_because=why)
    audit_log.record(
        "subscription.end", f"subscription:{subscription_id}", organization_id=subscription.organization_id,
        name=subscription.name, why=why,
    )  # fmt: skip
    events.forget()
