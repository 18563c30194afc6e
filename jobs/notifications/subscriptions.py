"""Subscriptions: create, change, end, delete and test. Every door calls these functions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from flagsite.core import secret_text
from flagsite.core.db.clock import now
from flagsite.core.db.turns import take_turn
from flagsite.core.site_address import page_address
from jobs.errors import InvalidSubscription, SubscriptionNotFound, TooManySubscriptions
from jobs.notifications import deliveries, events
from jobs.notifications.channels import webhook
from jobs.notifications.channels.all_channels import way
from jobs.notifications.models import LONGEST_DIGEST, Channel, Delivery, Subscription
from orgs.access import people_operations
from orgs.access.caller import Caller
from orgs.access.models import StaffScope
from orgs.access.visible_organizations import OrganizationName, find_visible_organization, visible_organizations
from orgs.audit import audit_log
from orgs.tree.models import Organization
from orgs.tree.subtrees import Stretch

LONGEST_NAME = 100
LONGEST_TARGET = 2000
DEFAULT_OVERLAP = timedelta(days=1)
"""The time for which the former secret of a webhook signs beside the new one."""
MAX_OVERLAP = timedelta(days=90)
TEST_SUBJECT = "A test of Flagsite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a new subscription should be."""

    name: str
    channel: str
    target: str
    events: Collection[str]
    organization: OrganizationName | None = None
    """The subtree whose events are told; None means all that the caller may see."""
    person: str = ""
    """The name of the person who is told, or empty for a program."""
    digest_seconds: int | None = None
    """None means 60 seconds, and none for a webhook."""


def visible_subscriptions(caller: Caller) -> QuerySet[Subscription]:
    """Return the subscriptions that the caller may see."""
    rows = Subscription.objects.select_related("person", "organization")
    if caller.organization_id is None:
        return rows
    return rows.filter(organization_id__in=visible_organizations(caller).values("pk"))


def subscription_for(caller: Caller, subscription_id: int) -> Subscription:
    """Return the subscription. Raises SubscriptionNotFound."""
    found = visible_subscriptions(caller).filter(pk=subscription_id).first()
    if found is None:
        raise SubscriptionNotFound
    return found


def create(caller: Caller, wish: Wish, *, reason: str = "") -> tuple[Subscription, str]:
    """Create a subscription. Returns it and, for a webhook, the secret of its signatures, which is shown once.

    A caller with a scope creates subscriptions for its own subtree only. Raises InvalidSubscription, PersonNotFound,
    OrganizationNotFound, OrganizationAmbiguous, TooManySubscriptions.
    """
    if not wish.name.strip() or len(wish.name) > LONGEST_NAME:
        raise InvalidSubscription(f"The name must have 1 to {LONGEST_NAME} characters.")
    if wish.channel not in Channel.values:
        raise InvalidSubscription(f"There is no channel {wish.channel!r}. The channels: {', '.join(Channel.values)}.")
    if len(wish.target) > LONGEST_TARGET:
        raise InvalidSubscription(f"The address is longer than {LONGEST_TARGET:,} characters.")
    the_way = way(wish.channel)
    target = the_way.checked(wish.target.strip())
    seconds = wish.digest_seconds
    if seconds is None:
        seconds = 0 if wish.channel == Channel.WEBHOOK else 60
    secret = webhook.new_secret() if wish.channel == Channel.WEBHOOK else ""
    person_id = _person_id(caller, wish.person)
    organization_id = _organization_id(caller, wish.organization)
    names = checked_events(wish.events)
    _check_can_be_told(names, organization_id, person_id)
    with transaction.atomic():
        _check_room(person_id, organization_id)
        subscription = Subscription.objects.create(
            name=wish.name.strip(),
            channel=wish.channel,
            target=secret_text.encrypt(target),
            target_shown=the_way.shown(target)[:300],
            secret=secret_text.encrypt(secret) if secret else "",
            person_id=person_id,
            organization_id=organization_id,
            events=names,
            digest_seconds=_checked_seconds(seconds),
            created_by=caller.name,
        )
        _record("subscription.create", subscription, caller, reason, after=described(subscription))
    events.forget()
    return subscription, secret


def change(caller: Caller, subscription: Subscription, *, reason: str = "", **values: Any) -> Subscription:
    """Change `name`, `events` or `digest_seconds`; `is_active` true sends again after the address was gone.

    Raises InvalidSubscription.
    """
    with transaction.atomic():
        locked = Subscription.objects.select_for_update().get(pk=subscription.pk)
        before = described(locked)
        if "name" in values:
            locked.name = values["name"]
        if "events" in values:
            locked.events = checked_events(values["events"])
            _check_can_be_told(locked.events, locked.organization_id, locked.person_id)
        if "digest_seconds" in values:
            locked.digest_seconds = _checked_seconds(values["digest_seconds"])
        if "is_active" in values:
            locked.ended_because = "" if values["is_active"] else f"{caller.name} has stopped it."
        after = described(locked)
        if after != before:
            locked.save(update_fields=["name", "events", "digest_seconds", "ended_because"])
            _record("subscription.change", locked, caller, reason, before=before, after=after)
    events.forget()
    return locked


def delete(caller: Caller, subscription: Subscription, *, reason: str = "") -> None:
    """Delete a subscription. Its deliveries stay; those of a webhook that are open fail."""
    with transaction.atomic():
        list(Subscription.objects.select_for_update().filter(pk=subscription.pk))  # before its deliveries
        _record("subscription.delete", subscription, caller, reason, before=described(subscription))
        subscription.delete()
    events.forget()


def send_test(caller: Caller, subscription: Subscription, *, reason: str = "") -> Delivery:
    """Send a message that says that it is a test, in the way of every other message. Returns its delivery."""
    with transaction.atomic():
        delivery = deliveries.create_for(
            subscription,
            subject=TEST_SUBJECT,
            text=f"{caller.name} has tested the subscription {subscription.name}. Nothing has happened.\n\n"
            f"The subscription: {page_address('admin:jobs_subscription_change', subscription.pk)}",
            by=caller.name,
        )
        _record("subscription.test", subscription, caller, reason, deliveryId=delivery.pk)
    return delivery


def rotate_secret(
    caller: Caller, subscription: Subscription, *, overlap: timedelta = DEFAULT_OVERLAP, reason: str = ""
) -> tuple[Subscription, str]:
    """Give a webhook a new secret. Returns the subscription and the secret, which is shown once.

    For the time of `overlap`, each message has the signatures of both secrets, so that the receiver can change over at
    any moment. A former secret of an earlier rotation ends at once. Raises InvalidSubscription for other channels.
    """
    if subscription.channel != Channel.WEBHOOK:
        raise InvalidSubscription("Only a webhook has a secret. The messages of other channels have no signature.")
    if not timedelta() <= overlap <= MAX_OVERLAP:
        raise InvalidSubscription(f"Both secrets can sign for at most {MAX_OVERLAP.days} days.")
    secret = webhook.new_secret()
    with transaction.atomic():
        locked = Subscription.objects.select_for_update().get(pk=subscription.pk)
        locked.former_secret = locked.secret if overlap else ""
        locked.former_secret_until = now() + overlap if overlap else None
        locked.secret = secret_text.encrypt(secret)
        locked.save(update_fields=["secret", "former_secret", "former_secret_until"])
        until = locked.former_secret_until.isoformat() if locked.former_secret_until else None
        _record("subscription.rotate-secret", locked, caller, reason, formerSecretUntil=until)
    return locked, secret


def described(subscription: Subscription) -> dict[str, Any]:
    """Return what the audit log says of a subscription; it has no secret and no whole address of a webhook."""
    return {
        "name": subscription.name,
        "channel": subscription.channel,
        "to": subscription.target_shown,
        "events": list(subscription.events),
        "digestSeconds": subscription.digest_seconds,
        "active": not subscription.ended_because,
    }


def checked_events(names: Collection[str]) -> list[str]:
    """Return the names of events without doubles. Raises InvalidSubscription."""
    known = events.all_events()
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise InvalidSubscription(f"There is no event {unknown[0]!r}. The events are: {', '.join(known)}.")
    if not names:
        raise InvalidSubscription(f"A subscription needs at least one event. The events are: {', '.join(known)}.")
    return sorted(set(names))


def events_told_to(organization_id: int | None, person_id: int | None) -> dict[str, str]:
    """Return the events that such a subscription can be told, by name, each with its sentence."""
    known = events.all_events()
    is_bound = person_id is not None and StaffScope.objects.filter(user_id=person_id).exists()
    if organization_id is None and not is_bound:
        return known
    return {name: summary for name, summary in known.items() if events.concerns_organizations(name)}


def _check_can_be_told(names: Collection[str], organization_id: int | None, person_id: int | None) -> None:
    """Check that none of the events is one that the subscription is never told. Raises InvalidSubscription."""
    told = events_told_to(organization_id, person_id)
    never = ", ".join(sorted(set(names) - set(told)))
    if never:
        what = "one organization" if organization_id is not None else "a person who is bound to an organization"
        raise InvalidSubscription(
            f"A subscription of {what} is never told of {never}, which concerns all organizations together. Leave it "
            f"out. The events of an organization are: {', '.join(told)}."
        )


def remove_with_organizations(*, stretch: Stretch, **_: Any) -> None:
    """Delete the subscriptions of organizations that will be deleted (receiver of `organizations_removing`)."""
    Subscription.objects.filter(organization__in=Organization.objects.of(stretch)).delete()


def renew_secrets() -> int:
    """Encrypt all stored secrets with the present SECRET_KEY. Returns how many were encrypted with a former one.

    Raises SecretUnreadable.
    """
    renewed = 0
    models: Sequence[tuple[Any, tuple[str, ...]]] = (
        (Subscription, ("target", "secret", "former_secret")),
        (Delivery, ("target",)),
    )
    for model, columns in models:
        for pk, *stored in model.objects.order_by("pk").values_list("pk", *columns).iterator():
            new = {
                column: text
                for column, value in zip(columns, stored, strict=True)
                if value and (text := secret_text.renewed(value)) is not None
            }
            if new:
                model.objects.filter(pk=pk).update(**new)
                renewed += 1
    return renewed


def _person_id(caller: Caller, username: str) -> int | None:
    """Return the id of a person whom the caller may see, so that nobody learns who else there is."""
    return people_operations.find(caller, username).pk if username else None


def _organization_id(caller: Caller, organization: OrganizationName | None) -> int | None:
    if organization is None:
        return caller.organization_id
    return int(find_visible_organization(caller, organization).pk)


def _check_room(person_id: int | None, organization_id: int | None) -> None:
    """Check that the person, or else the organization, may have one more subscription. Raises TooManySubscriptions.

    Subscriptions that are created at the same time take turns, so that none of them is one too many.
    """
    most = settings.SUBSCRIPTIONS_PER_ORGANIZATION
    take_turn(f"subscriptions of person {person_id} and organization {organization_id}")
    if person_id is not None:
        who, rows = "This person has", Subscription.objects.filter(person_id=person_id)
    else:
        who = "This organization has" if organization_id else "There are, for all organizations together,"
        rows = Subscription.objects.filter(Q(organization_id=organization_id), person_id=None)
    if rows.count() >= most:
        raise TooManySubscriptions(
            f"{who} {most:,} subscriptions already. Delete one first. Whoever runs this installation can raise the "
            "setting SUBSCRIPTIONS_PER_ORGANIZATION."
        )


def _checked_seconds(seconds: int) -> int:
    if not 0 <= seconds <= LONGEST_DIGEST:
        raise InvalidSubscription(f"The time of a digest must be 0 to {LONGEST_DIGEST:,} seconds.")
    return seconds


def _record(action: str, subscription: Subscription, caller: Caller, reason: str, **details: Any) -> None:
    audit_log.record(
        action, f"subscription:{subscription.pk}", by=caller.name, reason=reason,
        organization_id=subscription.organization_id, **details,
    )  # fmt: skip
