"""The commands of notifications."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from jobs.notifications.models import Delivery, DeliveryState, Subscription
from jobs.tests.notifications.sending import run_all

pytestmark = pytest.mark.django_db


def said(name: str, *arguments: Any) -> Any:
    """Run a command, and return its answer in JSON."""
    output = io.StringIO()
    call_command(name, *map(str, arguments), "--json", stdout=output)
    return json.loads(output.getvalue())


def test_subscribe_test_look_replay_and_unsubscribe(db: None) -> None:
    made = said("subscribe", "On call", "email", "oncall@example.com", "--event", "job.failed", "--reason", "night")
    assert (made["to"], made["secret"]) == ("oncall@example.com", None)
    sent = said("send_test", made["id"])
    run_all()
    (row,) = said("deliveries", "--status", "OUTBOX")
    assert (row["id"], row["status"]) == (sent["id"], "OUTBOX")
    assert said("deliveries", "--status", "SENT") == []
    assert said("replay_delivery", sent["id"])["done"] == 1
    assert Delivery.objects.get().state == DeliveryState.PENDING
    changed = said("change_subscription", made["id"], "--event", "queue.paused", "--stop")
    assert (changed["events"], changed["active"]) == (["queue.paused"], False)
    assert [row["id"] for row in said("subscriptions")] == [made["id"]]
    said("delete_subscription", made["id"])
    assert not Subscription.objects.exists()


def test_the_secret_of_a_webhook_is_printed_once(db: None) -> None:
    made = said("subscribe", "CRM", "webhook", "https://crm.example.com/hook", "--event", "flag.changed")
    assert made["secret"].startswith("whsec_")
    assert made["secret"] not in json.dumps(said("subscriptions"))


def test_what_cannot_be_is_refused_in_words(db: None) -> None:
    with pytest.raises(CommandError, match="not public"):
        said("subscribe", "CRM", "webhook", "https://10.0.0.1/", "--event", "flag.changed")
    with pytest.raises(CommandError, match="no such subscription"):
        said("send_test", 999)


def test_a_secret_is_rotated_and_printed_once(db: None) -> None:
    made = said("subscribe", "CRM", "webhook", "https://crm.example.com/hook", "--event", "flag.changed")
    rotated = said("rotate_secret", made["id"], "--overlap", "2h", "--reason", "leaked")
    assert rotated["secret"].startswith("whsec_")
    assert rotated["secret"] != made["secret"]
    assert rotated["secret"] not in json.dumps(said("subscriptions"))


@pytest.mark.parametrize("url", ["https://localhost/", "https://crm.localhost./", "https://127.1/", "https://[::1]/"])
def test_a_webhook_that_could_never_be_sent_is_refused_when_it_is_entered(url: str) -> None:
    with pytest.raises(CommandError, match="not public"):
        said("subscribe", "CRM", "webhook", url, "--event", "flag.changed")
    assert not Subscription.objects.exists()
