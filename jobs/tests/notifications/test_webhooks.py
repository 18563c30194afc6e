"""Webhooks to a real HTTP server: signatures, the published schedule, redirects, addresses that are gone."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from standardwebhooks import Webhook, WebhookVerificationError

from jobs.engine import claiming
from jobs.errors import InvalidSubscription
from jobs.notifications.events import JOB_FAILED, notify
from jobs.notifications.models import Delivery, DeliveryState, Subscription
from jobs.notifications.subscriptions import renew_secrets, rotate_secret, send_test
from jobs.notifications.telling import tell_events
from jobs.tests.notifications.doubles import Received, Receiver
from jobs.tests.notifications.sending import let_time_pass, run_all, stored, subscribe
from orgs.access.caller import Caller
from orgs.audit.models import AuditEntry

pytestmark = pytest.mark.django_db
SCHEDULE = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]


def hook(operator: Caller, receiver: Receiver) -> tuple[Delivery, str]:
    number, secret = subscribe(operator, "webhook", f"{receiver.url}/hooks/token-of-the-path")
    return send_test(operator, Subscription.objects.get(pk=number)), secret


def test_the_receiver_can_verify_the_signature(operator: Caller, receiver: Receiver) -> None:
    delivery, secret = hook(operator, receiver)
    run_all()
    request = receiver.requests[0]
    body = Webhook(secret).verify(request.body, request.headers)
    assert body["type"] == "message"
    assert body["data"]["url"].endswith(f"/admin/jobs/delivery/{delivery.pk}/change/")
    assert body["data"]["subject"] == "A test of Flagsite"
    assert request.headers["webhook-id"] == stored(delivery).message_id
    assert stored(delivery).state == DeliveryState.SENT
    assert stored(delivery).provider_id.startswith("200 ")


def test_failures_are_tried_again_for_days_with_the_same_id(operator: Caller, receiver: Receiver) -> None:
    receiver.answers = [500] * 10
    delivery, secret = hook(operator, receiver)
    run_all()
    waits = []
    while found := let_time_pass():
        waits += found
        run_all()
    for wait, planned in zip(waits, SCHEDULE, strict=True):
        assert planned <= wait.total_seconds() <= planned * 1.5 + 1, "the queue's jitter comes on top"
    failed = stored(delivery)
    assert (failed.state, failed.attempts) == (DeliveryState.FAILED, 10)
    assert failed.error == "The receiver answered 500."
    assert len(receiver.requests) == 10
    assert {request.headers["webhook-id"] for request in receiver.requests} == {failed.message_id}
    for request in receiver.requests:
        Webhook(secret).verify(request.body, request.headers)


def test_a_redirect_is_not_followed(operator: Caller, receiver: Receiver) -> None:
    receiver.answers = [307]
    receiver.answer_headers = {"Location": f"{receiver.url}/other"}
    delivery, _ = hook(operator, receiver)
    run_all()
    assert [request.path for request in receiver.requests] == ["/hooks/token-of-the-path"]
    assert stored(delivery).error == "The receiver answered 307."


def test_an_address_that_is_gone_ends_the_subscription(operator: Caller, receiver: Receiver) -> None:
    receiver.answers = [410]
    delivery, _ = hook(operator, receiver)
    run_all()
    assert stored(delivery).state == DeliveryState.FAILED
    assert let_time_pass() == []
    assert Subscription.objects.get().ended_because == "The receiver answered 410."


def test_the_test_of_a_subscription_checks_the_address_as_every_message_does(
    operator: Caller, receiver: Receiver, settings: Any
) -> None:
    delivery, _ = hook(operator, receiver)
    settings.OUTGOING_ALLOWED = []
    run_all()
    assert stored(delivery).state == DeliveryState.PENDING
    assert stored(delivery).error == "The address must begin with https://."
    assert receiver.requests == []


def test_no_secret_is_in_the_row_the_job_or_the_errors(operator: Caller, receiver: Receiver) -> None:
    receiver.answers = [500]
    delivery, secret = hook(operator, receiver)
    run_all()
    row = Delivery.objects.filter(pk=delivery.pk).values().get()
    shown = json.dumps([row, Subscription.objects.values().get()], default=str)
    assert "token-of-the-path" not in shown
    assert secret not in shown
    assert row["target_shown"] == f"{receiver.url}/…"


def test_after_a_new_secret_key_the_secrets_are_renewed_and_the_receiver_still_verifies(
    operator: Caller, receiver: Receiver, settings: Any
) -> None:
    former = settings.SECRET_KEY
    delivery, secret = hook(operator, receiver)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "p" * 40, [former]
    assert renew_secrets() == 2
    assert renew_secrets() == 0
    settings.SECRET_KEY_FALLBACKS = []
    run_all()
    assert stored(delivery).state == DeliveryState.SENT
    Webhook(secret).verify(receiver.requests[0].body, receiver.requests[0].headers)


def test_an_address_that_a_lost_key_has_encrypted_fails_in_words_and_blocks_no_other(
    operator: Caller, receiver: Receiver, settings: Any
) -> None:
    subscribe(operator, "webhook", f"{receiver.url}/unreadable")
    settings.SECRET_KEY = "n" * 40
    subscribe(operator, "webhook", f"{receiver.url}/readable")
    notify(JOB_FAILED, "Job 1 has failed.", subject="job:1")
    assert tell_events() == 1
    run_all()
    unreadable, readable = Delivery.objects.order_by("pk")
    assert (unreadable.state, readable.state) == (DeliveryState.FAILED, DeliveryState.SENT)
    assert "SECRET_KEY_FALLBACKS" in unreadable.error
    assert [request.path for request in receiver.requests] == ["/readable"]


def test_without_settings_a_webhook_stays_in_the_outbox(operator: Caller, receiver: Receiver, settings: Any) -> None:
    delivery, _ = hook(operator, receiver)
    settings.SEND_WEBHOOKS = False
    run_all()
    assert stored(delivery).state == DeliveryState.OUTBOX
    assert receiver.requests == []


def after_rotation(operator: Caller, receiver: Receiver, **words: Any) -> tuple[Received, str, str]:
    """Rotate the secret of a webhook, and send a test. Returns the request, the former and the new secret."""
    number, former = subscribe(operator, "webhook", f"{receiver.url}/hook")
    subscription, new = rotate_secret(operator, Subscription.objects.get(pk=number), **words)
    send_test(operator, subscription)
    run_all()
    return receiver.requests[-1], former, new


def verifies(request: Received, secret: str) -> bool:
    """Whether a receiver that knows this secret accepts the request."""
    try:
        Webhook(secret).verify(request.body, request.headers)
    except WebhookVerificationError:
        return False
    return True


def test_for_a_while_after_a_rotation_receivers_with_either_secret_accept(operator: Caller, receiver: Receiver) -> None:
    request, former, new = after_rotation(operator, receiver, overlap=timedelta(hours=1))
    assert former != new
    assert verifies(request, former)
    assert verifies(request, new)
    assert len(request.headers["webhook-signature"].split(" ")) == 2


def test_after_that_time_only_the_new_secret_signs_and_the_former_is_deleted(
    operator: Caller, receiver: Receiver
) -> None:
    _, former, new = after_rotation(operator, receiver)
    Subscription.objects.update(former_secret_until=Now() - timedelta(seconds=1))
    send_test(operator, Subscription.objects.get())
    run_all()
    request = receiver.requests[-1]
    assert (verifies(request, former), verifies(request, new)) == (False, True)
    assert (Subscription.objects.get().former_secret, Subscription.objects.get().former_secret_until) == ("", None)


def test_without_an_overlap_the_former_secret_ends_at_once(operator: Caller, receiver: Receiver) -> None:
    request, former, new = after_rotation(operator, receiver, overlap=timedelta())
    assert (verifies(request, former), verifies(request, new)) == (False, True)


def test_a_second_rotation_ends_the_secret_before_the_first(operator: Caller, receiver: Receiver) -> None:
    _, oldest, former = after_rotation(operator, receiver)
    subscription, new = rotate_secret(operator, Subscription.objects.get())
    send_test(operator, subscription)
    run_all()
    request = receiver.requests[-1]
    assert [verifies(request, secret) for secret in (oldest, former, new)] == [False, True, True]


def test_both_secrets_are_encrypted_and_survive_a_new_key_of_the_site(
    operator: Caller, receiver: Receiver, settings: Any
) -> None:
    _, former, new = after_rotation(operator, receiver)
    stored_row = str(list(Subscription.objects.values()))
    assert former not in stored_row
    assert new not in stored_row
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "n" * 40
    renew_secrets()
    settings.SECRET_KEY_FALLBACKS = []
    send_test(operator, Subscription.objects.get())
    run_all()
    assert [verifies(receiver.requests[-1], secret) for secret in (former, new)] == [True, True]
    entry = AuditEntry.objects.get(action="subscription.rotate-secret")
    assert former not in str(entry.details)
    assert new not in str(entry.details)


@pytest.mark.parametrize("overlap", [timedelta(days=91), timedelta(seconds=-1)])
def test_an_overlap_that_is_too_long_and_another_channel_are_refused(operator: Caller, overlap: timedelta) -> None:
    number, _ = subscribe(operator, "webhook", "https://hooks.example.com/")
    with pytest.raises(InvalidSubscription, match="90 days"):
        rotate_secret(operator, Subscription.objects.get(pk=number), overlap=overlap)
    number, _ = subscribe(operator, "email", "ann@example.com")
    with pytest.raises(InvalidSubscription, match="Only a webhook"):
        rotate_secret(operator, Subscription.objects.get(pk=number))


def test_a_slow_receiver_gets_one_message_at_a_time_and_lets_those_to_others_pass(
    operator: Caller, receiver: Receiver
) -> None:
    slow, _ = subscribe(operator, "webhook", f"{receiver.url}/slow")
    other, _ = subscribe(operator, "webhook", f"{receiver.url}/other")
    messages = [send_test(operator, Subscription.objects.get(pk=number)) for number in (slow, slow, slow, other)]
    claims = [claiming.claim(queue="notification", worker="w") for _ in range(3)]
    assert [claimed and claimed.pk for claimed in claims] == [messages[0].job_id, messages[3].job_id, None]
