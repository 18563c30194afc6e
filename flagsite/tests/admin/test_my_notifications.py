"""The page on which a person lets a browser tell of events. `flagsite/tests/browser` has the part of the script."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.contrib.auth.models import User

from conftest import Cast
from jobs.notifications import telling
from jobs.notifications.events import JOB_FAILED, notify
from jobs.notifications.models import Delivery, Event, Subscription
from jobs.tests.notifications.stored import subscription_and_delivery
from orgs.audit.models import AuditEntry
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
PAGE = "/admin/my-notifications/"


@pytest.fixture(autouse=True)
def has_keys(settings: Any, nobody_is_told_of_events: None) -> None:
    settings.VAPID_SUBJECT = "mailto:ops@example.com"
    settings.VAPID_PRIVATE_KEY = "9Bk1WSYEPMJEBqA8oB1Pu8YV1gtGqw1IbIyMT8i9Z2E"


def of_browser(path: str = "one") -> str:
    """The PushSubscription of a browser, as JSON."""
    point = (
        ec.generate_private_key(ec.SECP256R1())
        .public_key()
        .public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    )
    keys = {"p256dh": base64.urlsafe_b64encode(point).decode(), "auth": base64.urlsafe_b64encode(bytes(16)).decode()}
    return json.dumps({"endpoint": f"https://push.example.com/{path}", "keys": keys})


def asked(*events: str, path: str = "one") -> dict[str, Any]:
    return {"act": "subscribe", "target": of_browser(path), "events": events or ["job.failed"], "reason": "my shift"}


def test_a_viewer_lets_the_own_browser_tell(db: None) -> None:
    client = signed_in("viewer")
    assert client.post(PAGE, asked("job.failed", "batch.ended")).status_code == 302
    made = Subscription.objects.get()
    assert (made.channel, made.events) == ("push", ["batch.ended", "job.failed"])
    assert made.person is not None
    assert made.person.username == "pat"
    assert AuditEntry.objects.get(action="subscription.create").reason == "my shift"
    page = shown(client.get(PAGE))
    assert hashlib.sha256(b"https://push.example.com/one").hexdigest() in page
    assert "push.example.com/one" not in page, "the address stays a secret"


def test_the_same_browser_changes_its_events_and_another_one_is_added(db: None) -> None:
    client = signed_in("viewer")
    client.post(PAGE, asked("job.failed"))
    client.post(PAGE, asked("worker.gone"))
    assert Subscription.objects.get().events == ["worker.gone"]
    client.post(PAGE, asked("job.failed", path="two"))
    assert Subscription.objects.count() == 2


def test_a_test_and_the_end_are_for_the_own_browsers_only(db: None) -> None:
    client = signed_in("viewer")
    client.post(PAGE, asked())
    own = Subscription.objects.get()
    client.post(PAGE, {"act": "test", "subscription": own.pk})
    assert Delivery.objects.get().subscription_id == own.pk
    other, _ = subscription_and_delivery(words="theirs")
    mail, _ = subscription_and_delivery(words="mail")
    Subscription.objects.filter(pk=mail.pk).update(person=User.objects.get(username="pat"))
    for act in ("test", "stop"):
        for number in (other.pk, mail.pk, "", "x"):
            assert client.post(PAGE, {"act": act, "subscription": number}).status_code == 404
    assert client.post(PAGE, {"act": "pay"}).status_code == 404
    client.post(PAGE, {"act": "stop", "subscription": own.pk})
    assert set(Subscription.objects.values_list("pk", flat=True)) == {other.pk, mail.pk}


def test_a_bound_person_is_told_of_the_own_subtree_only(cast: Cast) -> None:
    client = signed_in("viewer", bound_to=cast.north)
    client.post(PAGE, asked())
    assert Subscription.objects.get().organization_id == cast.north.pk
    for organization in (cast.rome, cast.oslo):
        notify(JOB_FAILED, "It failed.", subject="job:1", organization_id=organization.pk)
    assert Event.objects.count() == 2
    telling.tell_events()
    assert Delivery.objects.get().events["counts"] == {"job.failed": 1}


@pytest.mark.parametrize("values", [{"target": ""}, {"target": "{}"}, {"events": []}, {"events": ["unheard.of"]}])
def test_what_is_no_subscription_of_a_browser_is_refused_in_words(db: None, values: dict[str, Any]) -> None:
    page = shown(signed_in("viewer").post(PAGE, asked() | values))
    assert "errorlist" in page
    assert not Subscription.objects.exists()


def test_without_keys_the_page_says_which_setting_is_missing(db: None, settings: Any) -> None:
    settings.VAPID_PRIVATE_KEY = ""
    page = shown(signed_in("viewer").get(PAGE))
    assert "VAPID_KEYS" in page
    assert "Tell me in this browser" not in page


@pytest.mark.parametrize(("group", "may_open"), [("viewer", False), ("operator", True)])
def test_the_page_lists_all_that_tells_the_person_and_links_for_operators_only(
    db: None, group: str, may_open: bool
) -> None:
    client = signed_in(group)
    mail, _ = subscription_and_delivery(words="mail")
    subscription_and_delivery(words="foreign")
    Subscription.objects.filter(pk=mail.pk).update(person=User.objects.get(username="pat"))
    page = shown(client.get(PAGE))
    assert "mail@example.com" in page
    assert "foreign" not in page
    assert (f"/admin/jobs/subscription/{mail.pk}/change/" in page) is may_open
