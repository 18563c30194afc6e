"""The browsers of a person that are told of events: subscriptions by web push that the person makes and ends."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import QuerySet

from flagsite.core import secret_text
from flagsite.core.secret_text import SecretUnreadable
from jobs.notifications import subscriptions
from jobs.notifications.channels import push
from jobs.notifications.models import Channel, Subscription
from jobs.notifications.subscriptions import Wish
from orgs.access.caller import Caller


@dataclass(frozen=True, slots=True)
class Browser:
    """A browser that is told. A page knows by the fingerprint of the push address whether it is in this browser."""

    subscription: Subscription
    fingerprint: str


def subscriptions_of(username: str) -> QuerySet[Subscription]:
    """Return the subscriptions by which this person is told, newest first."""
    return Subscription.objects.filter(person__username=username).order_by("-id")


def browsers_of(username: str) -> list[Browser]:
    """Return the browsers of this person that are told, newest first."""
    rows = subscriptions_of(username).filter(channel=Channel.PUSH, ended_because="")
    return [Browser(row, fingerprint) for row in rows if (fingerprint := _fingerprint(row))]


def tell_browser(
    caller: Caller, username: str, target: str, events: Collection[str], *, reason: str = ""
) -> Subscription:
    """Tell this person of these events in the browser whose PushSubscription is `target`, as JSON.

    If the browser is told already, only the events change. Raises InvalidSubscription, PersonNotFound.
    """
    wanted = _fingerprint_of(push.checked(target))
    for browser in browsers_of(username):
        if browser.fingerprint == wanted:
            return subscriptions.change(caller, browser.subscription, reason=reason, events=events)
    wish = Wish(name=f"Browser of {username}"[: subscriptions.LONGEST_NAME], channel=Channel.PUSH, target=target,
                events=events, person=username)  # fmt: skip
    return subscriptions.create(caller, wish, reason=reason)[0]


def _fingerprint(subscription: Subscription) -> str:
    """Return the fingerprint of the stored address; empty if it cannot be read any more."""
    try:
        return _fingerprint_of(secret_text.decrypt(subscription.target))
    except SecretUnreadable:
        return ""


def _fingerprint_of(target: str) -> str:
    return hashlib.sha256(json.loads(target)["endpoint"].encode()).hexdigest()
