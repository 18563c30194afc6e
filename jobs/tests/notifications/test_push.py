"""Web push to a push service that verifies the signature and decrypts as a browser does."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import http_ece
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import override_settings
from py_vapid import Vapid02

from jobs.errors import InvalidSubscription
from jobs.notifications import deliveries
from jobs.notifications.channels import push
from jobs.notifications.models import Delivery, DeliveryState, Subscription
from jobs.notifications.subscriptions import send_test
from jobs.operations import queue_operations
from jobs.tests.notifications.doubles import Received, Receiver
from jobs.tests.notifications.sending import let_time_pass, run_all, stored, subscribe, tell_and_send
from orgs.access.caller import Caller

pytestmark = pytest.mark.django_db
AUTH = b"sixteen bytes ok"


def base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def point_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


@dataclass
class Browser:
    """A browser that has subscribed at the push service."""

    service: Receiver
    key: ec.EllipticCurvePrivateKey
    path: str = "/push/token-of-the-browser"

    @property
    def subscription(self) -> str:
        keys = {"p256dh": base64url(point_of(self.key)), "auth": base64url(AUTH)}
        return json.dumps({"endpoint": f"{self.service.url}{self.path}", "expirationTime": None, "keys": keys})

    def read(self, request: Received) -> dict[str, Any]:
        """Verify the request as the push service does, and decrypt it as the browser does."""
        authorization = request.headers["authorization"]
        assert Vapid02.verify(authorization)
        claims = json.loads(base64.urlsafe_b64decode(authorization.split("t=")[1].split(".")[1] + "=="))
        assert claims["aud"] == self.service.url
        assert claims["sub"] == "mailto:ops@example.com"
        assert time.time() < claims["exp"] <= time.time() + 86_400
        assert f"k={push.public_key()}" in authorization
        assert request.headers["content-encoding"] == "aes128gcm"
        assert int(request.headers["ttl"]) > 0
        assert len(request.body) <= 4096
        read: dict[str, Any] = json.loads(
            http_ece.decrypt(request.body, private_key=self.key, auth_secret=AUTH, version="aes128gcm")
        )
        return read


@pytest.fixture
def browser(receiver: Receiver) -> Iterator[Browser]:
    keys = Vapid02()
    keys.generate_keys()
    private = base64url(keys.private_key.private_numbers().private_value.to_bytes(32, "big"))
    with override_settings(VAPID_SUBJECT="mailto:ops@example.com", VAPID_PRIVATE_KEY=private):
        yield Browser(receiver, ec.generate_private_key(ec.SECP256R1()))


def sent_to(browser: Browser, operator: Caller) -> tuple[Delivery, int]:
    number, _ = subscribe(operator, "push", browser.subscription)
    return send_test(operator, Subscription.objects.get(pk=number)), number


def test_a_click_on_the_message_opens_the_page_of_the_event(operator: Caller, browser: Browser, settings: Any) -> None:
    settings.SITE_URL = "https://flags.example.com"
    subscribe(operator, "push", browser.subscription, events=["queue.paused"])
    queue_operations.pause("default", by="user:olga", reason="deploy")
    tell_and_send()
    read = browser.read(browser.service.requests[0])
    assert read["url"] == "https://flags.example.com/admin/jobs/queue/default/change/"
    assert "https://" not in read["body"], "the address is not for reading"


def test_the_browser_can_read_the_message(operator: Caller, browser: Browser) -> None:
    delivery, _ = sent_to(browser, operator)
    run_all()
    assert stored(delivery).state == DeliveryState.SENT
    read = browser.read(browser.service.requests[0])
    assert read["id"] == delivery.message_id
    assert read["title"] == "A test of Flagsite"
    assert "Nothing has happened." in read["body"]


@pytest.mark.parametrize("status", [404, 410])
def test_a_browser_that_is_gone_loses_its_subscription_and_only_this_one(
    operator: Caller, browser: Browser, status: int
) -> None:
    delivery, number = sent_to(browser, operator)
    other, _ = subscribe(operator, "push", browser.subscription)
    browser.service.answers = [status]
    run_all()
    assert stored(delivery).state == DeliveryState.FAILED
    assert list(Subscription.objects.values_list("pk", flat=True)) == [other]
    assert number != other
    assert let_time_pass() == []


@pytest.mark.parametrize(("status", "state"), [(429, "PENDING"), (500, "PENDING"), (403, "FAILED"), (413, "FAILED")])
def test_other_answers_keep_the_subscription(operator: Caller, browser: Browser, status: int, state: str) -> None:
    delivery, number = sent_to(browser, operator)
    browser.service.answers = [status]
    run_all()
    assert stored(delivery).state == state
    assert Subscription.objects.filter(pk=number, ended_because="").exists()


@pytest.mark.parametrize("sign", ["a", "ø", "☃", '"', "\n"])
def test_a_long_text_is_shortened_until_it_fits(operator: Caller, browser: Browser, sign: str) -> None:
    number, _ = subscribe(operator, "push", browser.subscription)
    subscription = Subscription.objects.get(pk=number)
    deliveries.create_for(subscription, subject="Long", text=sign * 20_000)
    run_all()
    read = browser.read(browser.service.requests[0])
    assert read["body"].startswith(sign * 1000)
    assert read["body"].endswith("…")


def test_what_is_no_subscription_of_a_browser_is_refused(operator: Caller, browser: Browser) -> None:
    good = json.loads(browser.subscription)
    for wrong in (
        "", "[]", "x", json.dumps({"endpoint": good["endpoint"]}),
        json.dumps(good | {"keys": good["keys"] | {"auth": "c2hvcnQ"}}),
        json.dumps(good | {"keys": good["keys"] | {"p256dh": base64url(b"\x04" + bytes(64))}}),
        json.dumps(good | {"endpoint": "https://10.0.0.1/push"}),
    ):  # fmt: skip
        with pytest.raises(InvalidSubscription):
            subscribe(operator, "push", wrong)


def test_without_keys_the_message_stays_in_the_outbox(operator: Caller, browser: Browser, settings: Any) -> None:
    delivery, _ = sent_to(browser, operator)
    settings.VAPID_PRIVATE_KEY = ""
    run_all()
    assert stored(delivery).state == DeliveryState.OUTBOX
    assert push.public_key() == ""


def test_json_that_is_nested_too_deeply_is_refused_in_words(operator: Caller) -> None:
    with pytest.raises(InvalidSubscription):
        subscribe(operator, "push", "[" * 2000)
