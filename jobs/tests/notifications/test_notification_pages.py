"""The pages of subscriptions and deliveries."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conftest import Cast
from jobs.notifications.models import Delivery, DeliveryState, Subscription
from jobs.tests.notifications.sending import run_all
from jobs.tests.notifications.stored import subscription_and_delivery
from orgs.audit.models import AuditEntry
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
LIST = "/admin/jobs/subscription/"
DELIVERIES = "/admin/jobs/delivery/"
HOOK = {
    "name": "CRM", "channel": "webhook", "target": "https://crm.example.com/hooks/token-17",
    "events": ["flag.changed"], "organization": "", "person": "", "digest_seconds": "", "reason": "CRM-812",
}  # fmt: skip


def test_a_webhook_is_created_and_its_secret_is_in_this_answer_only(db: None) -> None:
    client = signed_in("operator")
    answer = client.post(f"{LIST}add/", HOOK)
    page = shown(answer)
    secret = re.search(r"whsec_[A-Za-z0-9+/=]+", page)
    assert secret is not None
    assert "no-store" in answer["Cache-Control"]
    made = Subscription.objects.get()
    for address in (f"{LIST}{made.pk}/change/", LIST):
        page = shown(client.get(address))
        assert secret[0] not in page
        assert "token-17" not in page
        assert "crm.example.com" in page
    assert AuditEntry.objects.get(action="subscription.create").reason == "CRM-812"


def test_an_address_that_is_not_public_is_refused_in_words(db: None) -> None:
    page = shown(signed_in("operator").post(f"{LIST}add/", HOOK | {"target": "https://169.254.169.254/"}))
    assert "is in a network that is not public" in page
    assert not Subscription.objects.exists()


def test_a_subscription_is_changed_and_stopped(db: None) -> None:
    subscription, _ = subscription_and_delivery()
    client = signed_in("operator")
    values = {"name": "Night", "events": ["queue.paused"], "digest_seconds": "0", "reason": "quiet"}
    assert client.post(f"{LIST}{subscription.pk}/change/", values).status_code == 302
    subscription.refresh_from_db()
    assert (subscription.name, subscription.events, subscription.digest_seconds) == ("Night", ["queue.paused"], 0)
    assert "user:pat has stopped it." in subscription.ended_because
    assert "Nothing is sent any more" in shown(client.get(f"{LIST}{subscription.pk}/change/"))


def test_a_test_leads_to_its_delivery_whose_message_the_outbox_shows(db: None) -> None:
    subscription, _ = subscription_and_delivery()
    client = signed_in("operator")
    answer = client.post(f"{LIST}{subscription.pk}/test/", {"reason": ""})
    run_all()
    page = shown(client.get(answer["Location"]))
    assert "OUTBOX" in page
    assert "Nothing has happened." in page
    assert "EMAIL_URL is not set" in page


def test_a_delivery_is_replayed_from_its_page(db: None) -> None:
    _, delivery = subscription_and_delivery(state=DeliveryState.FAILED)
    client = signed_in("operator")
    assert f"{DELIVERIES}{delivery.pk}/replay/" in shown(client.get(f"{DELIVERIES}{delivery.pk}/change/"))
    client.post(f"{DELIVERIES}{delivery.pk}/replay/", {"reason": "mended"})
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.PENDING
    assert f"{DELIVERIES}{delivery.pk}/replay/" not in shown(client.get(f"{DELIVERIES}{delivery.pk}/change/"))


def test_a_deleted_subscription_leaves_its_deliveries(db: None) -> None:
    subscription, delivery = subscription_and_delivery()
    signed_in("operator").post(f"{LIST}{subscription.pk}/delete/", {"reason": ""})
    assert not Subscription.objects.exists()
    assert Delivery.objects.get().pk == delivery.pk


def test_a_bound_person_sees_the_rows_of_the_own_subtree_only(cast: Cast) -> None:
    own, own_delivery = subscription_and_delivery(cast.oslo.pk, words="ours")
    other, other_delivery = subscription_and_delivery(cast.rome.pk, words="foreign")
    client = signed_in("operator", bound_to=cast.north)
    for address in (LIST, DELIVERIES):
        page = shown(client.get(address))
        assert "ours" in page
        assert "foreign" not in page
    assert client.get(f"{LIST}{own.pk}/change/").status_code == 200
    assert client.get(f"{DELIVERIES}{own_delivery.pk}/change/").status_code == 200
    closed = [f"{LIST}{other.pk}/{page}/" for page in ("change", "test", "delete")]
    closed += [f"{DELIVERIES}{other_delivery.pk}/{page}/" for page in ("change", "replay")]
    for address in closed:
        assert client.get(address).status_code == 404


@pytest.mark.parametrize("address", [LIST, DELIVERIES])
def test_a_list_makes_the_same_queries_for_few_rows_and_for_many(db: None, address: str) -> None:
    client = signed_in("operator")

    def queries() -> int:
        with CaptureQueriesContext(connection) as made:
            assert client.get(address).status_code == 200
        return len(made)

    subscription_and_delivery(words="first")
    queries()
    few = queries()
    for number in range(8):
        subscription_and_delivery(words=f"row {number}")
    assert queries() == few


def test_a_rotated_secret_is_in_this_answer_only(db: None) -> None:
    client = signed_in("operator")
    client.post(f"{LIST}add/", HOOK)
    page = f"{LIST}{Subscription.objects.get().pk}"
    assert f"{page}/rotate/" in shown(client.get(f"{page}/change/"))
    answer = client.post(f"{page}/rotate/", {"overlap": "24", "reason": "leaked"})
    secret = re.search(r"whsec_[A-Za-z0-9+/=]+", shown(answer))
    assert secret is not None
    assert "no-store" in answer["Cache-Control"]
    assert "The former secret signs too until" in shown(answer)
    assert secret[0] not in shown(client.get(f"{page}/change/"))
    assert AuditEntry.objects.get(action="subscription.rotate-secret").reason == "leaked"


def test_a_subscription_without_a_secret_offers_no_rotation(db: None) -> None:
    subscription, _ = subscription_and_delivery()
    client = signed_in("operator")
    assert "/rotate/" not in shown(client.get(f"{LIST}{subscription.pk}/change/"))
    assert "Only a webhook" in shown(client.post(f"{LIST}{subscription.pk}/rotate/", {"overlap": "24", "reason": ""}))
