"""SMS and chat by Apprise, to real HTTP servers: one URL for each call."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobs.errors import InvalidSubscription
from jobs.notifications.models import DeliveryState, Subscription
from jobs.notifications.subscriptions import send_test
from jobs.tests.notifications.doubles import Receiver
from jobs.tests.notifications.sending import run_all, stored, subscribe
from orgs.access.caller import Caller

pytestmark = pytest.mark.django_db


@pytest.fixture
def services(receiver: Receiver, settings: Any) -> Receiver:
    """A gateway for SMS and two chats at one server."""
    host = f"127.0.0.1:{receiver.port}"
    settings.APPRISE_URLS = {
        "sms": f"smseagle://token@{host}/{{to}}",
        "ops": f"json://{host}/ops",
        "night": f"json://{host}/night",
    }
    receiver.answer_body = b'{"result": {"message_id": "4753", "status": "ok"}}'
    return receiver


def delivery_to(operator: Caller, channel: str, target: str) -> Any:
    number, _ = subscribe(operator, channel, target)
    return send_test(operator, Subscription.objects.get(pk=number))


def test_an_sms_goes_to_the_number(operator: Caller, services: Receiver) -> None:
    delivery = delivery_to(operator, "sms", "+4712345678")
    run_all()
    assert stored(delivery).state == DeliveryState.SENT
    (request,) = services.requests
    assert request.path.startswith("/jsonrpc/sms")
    assert json.loads(request.body)["params"]["to"] == "+4712345678"


def test_a_chat_gets_the_message_and_the_other_chat_does_not(operator: Caller, services: Receiver) -> None:
    delivery = delivery_to(operator, "chat", "night")
    run_all()
    assert stored(delivery).state == DeliveryState.SENT
    (request,) = services.requests
    assert request.path == "/night"
    assert json.loads(request.body)["title"] == "A test of Flagsite"


def test_a_service_that_refuses_is_tried_again(operator: Caller, services: Receiver) -> None:
    services.answers = [500]
    delivery = delivery_to(operator, "chat", "ops")
    run_all()
    assert stored(delivery).state == DeliveryState.PENDING
    assert stored(delivery).error == "The service did not take the message (FAILURE)."
    assert "127.0.0.1" not in stored(delivery).error


@pytest.mark.parametrize("number", ["12345678", "+0471234567", "+47 123", "+4712345678/x", "+" + "1" * 16, ""])
def test_what_is_no_telephone_number_is_refused(operator: Caller, services: Receiver, number: str) -> None:
    with pytest.raises(InvalidSubscription, match="telephone number"):
        subscribe(operator, "sms", number)


@pytest.mark.parametrize("name", ["sms", "unknown", "json://127.0.0.1/x", ""])
def test_users_name_only_chats_that_the_operator_has_set(operator: Caller, services: Receiver, name: str) -> None:
    with pytest.raises(InvalidSubscription, match="There is no chat"):
        subscribe(operator, "chat", name)


def test_without_settings_both_stay_in_the_outbox(operator: Caller) -> None:
    found = [delivery_to(operator, "sms", "+4712345678"), delivery_to(operator, "chat", "ops")]
    run_all()
    assert [stored(delivery).state for delivery in found] == [DeliveryState.OUTBOX] * 2
