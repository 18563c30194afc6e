"""Steps of the tests of notifications."""

from __future__ import annotations

from datetime import timedelta

from django.db.models.functions import Now

from jobs.engine import runner
from jobs.engine.models import Job
from jobs.engine.states import Status
from jobs.notifications import deliveries, telling
from jobs.notifications.models import Delivery
from jobs.notifications.subscriptions import Wish, create
from orgs.access.caller import Caller

QUEUE = "notification"


def subscribe(caller: Caller, channel: str, target: str, **more: object) -> tuple[int, str]:
    """Create a subscription. Returns its id and the secret of its signatures."""
    wish = {"name": "Ops", "events": ["job.failed"], "digest_seconds": 0, **more}
    subscription, secret = create(caller, Wish(channel=channel, target=target, **wish))
    return subscription.pk, secret


def email(target: str = "ann@example.com", **more: str) -> Delivery:
    """Create a delivery by e-mail."""
    return deliveries.create(channel="email", target=target, subject="Hello", text="All is well.", **more)


def run_all() -> None:
    """Run every due job of the queue, as a worker does."""
    while runner.run_next(QUEUE) is not None:
        continue


def let_time_pass() -> list[timedelta]:
    """Make each waiting job due, and return the times that they would have waited."""
    waiting = Job.objects.filter(queue=QUEUE, status=Status.PENDING)
    waits = [job.run_at - job.created_at for job in waiting]
    waiting.update(run_at=Now())
    return waits


def tell_and_send() -> None:
    """Let a worker make deliveries of the events, and send them."""
    telling.tell_events()
    let_time_pass()
    run_all()


def stored(delivery: Delivery) -> Delivery:
    """Return the delivery as it is in the database."""
    return Delivery.objects.get(pk=delivery.pk)
