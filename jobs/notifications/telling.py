"""Make deliveries of the recorded events: every worker does so every few seconds.

An event row is deleted in the transaction that gives the event to the deliveries. So no event is told twice, and a
worker that dies loses none. A subscription has at most one delivery that gathers: a storm of events is one message.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import structlog
from django.db import transaction
from django.db.models import Q

from flagsite.core import actor
from jobs.engine.maintenance import maintenance_task
from jobs.notifications import deliveries, digest
from jobs.notifications.models import Delivery, DeliveryState, Event, Subscription
from orgs.access.models import StaffScope
from orgs.tree.paths import path_ids_of

log = structlog.get_logger(__name__)
BATCH_SIZE = 1000
MAX_BATCHES = 50
"""The next run goes on."""
TAKE = """
DELETE FROM jobs_event WHERE id IN (SELECT id FROM jobs_event ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
RETURNING id, name, organization_id, text_below, subject, text, page, details, happened_at
"""


@maintenance_task
def tell_events() -> int:
    """Give the recorded events to the deliveries of those who have subscribed. Returns the number of events."""
    told = 0
    with actor.acting("worker", actor=actor.SYSTEM):
        for _ in range(MAX_BATCHES):
            count = _tell_some()
            told += count
            if count < BATCH_SIZE:
                break
    if told:
        log.info("events_told", count=told)
    return told


def _tell_some() -> int:
    if not Event.objects.exists():
        return 0
    with transaction.atomic():
        events = sorted(Event.objects.raw(TAKE, [BATCH_SIZE]), key=lambda event: event.pk)
        names = {event.name for event in events}
        active = Subscription.objects.select_for_update(of=("self",)).filter(
            Q(person__isnull=True) | Q(person__is_active=True), ended_because="", events__overlap=sorted(names)
        )
        audience = _Audience(list(active.order_by("pk")))
        for subscription, wanted in audience.choose(events):
            _gather(subscription, wanted)
    return len(events)


def _gather(subscription: Subscription, events: list[Event]) -> None:
    """Add the events to the delivery of the subscription that gathers, or create one. The subscription is locked."""
    open_ones = Delivery.objects.select_for_update().filter(subscription=subscription, state=DeliveryState.GATHERING)
    delivery = open_ones.first()
    if delivery is not None:
        delivery.events = digest.gathered(delivery.events, events)
        delivery.save(update_fields=["events"])
        return
    deliveries.gather_for(subscription, digest.gathered({}, events))


class _Audience:
    """The subscriptions, and the organizations whose events each of them gets."""

    def __init__(self, subscriptions: list[Subscription]) -> None:
        self._subscriptions = subscriptions
        people = [row.person_id for row in subscriptions if row.person_id]
        self._scopes: Mapping[int, int] = dict(
            StaffScope.objects.filter(user_id__in=people).values_list("user_id", "organization_id")
        )
        self._paths: dict[int, list[int]] = {}

    def choose(self, events: list[Event]) -> list[tuple[Subscription, list[Event]]]:
        """Return each subscription that wants some of the events, with these events."""
        chosen: dict[int, list[Event]] = defaultdict(list)
        for event in events:
            for row in self._subscriptions:
                told = self._as_told_to(row, event) if event.name in row.events else None
                if told is not None:
                    chosen[row.pk].append(told)
        return [(row, chosen[row.pk]) for row in self._subscriptions if chosen[row.pk]]

    def _as_told_to(self, row: Subscription, event: Event) -> Event | None:
        """Return what the subscription is told: the event, what it means for those below, or nothing."""
        tops = [top for top in (row.organization_id, self._scopes.get(row.person_id or 0)) if top is not None]
        if all(self._is_inside(event, top) for top in tops):
            return event
        if event.text_below and all(self._is_inside(event, top) or self._is_above(event, top) for top in tops):
            return Event(
                name=event.name, subject=event.subject, text=event.text_below, page=event.page,
                happened_at=event.happened_at, details={},
            )  # fmt: skip
        return None

    def _is_inside(self, event: Event, top: int) -> bool:
        return event.organization_id is not None and top in self._path(event.organization_id)

    def _is_above(self, event: Event, top: int) -> bool:
        return event.organization_id is None or event.organization_id in self._path(top)

    def _path(self, organization_id: int) -> list[int]:
        if organization_id not in self._paths:
            self._paths[organization_id] = path_ids_of(organization_id)
        return self._paths[organization_id]
