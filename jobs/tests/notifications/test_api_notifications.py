"""The endpoints of notifications."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conftest import Cast, _key
from jobs.engine import runner
from jobs.engine.models import Job, Queue
from jobs.notifications import deliveries, notification_job
from jobs.notifications.models import Delivery, DeliveryState, Subscription
from jobs.tests.notifications.doubles import MailServer, Receiver
from jobs.tests.notifications.sending import email, let_time_pass, run_all
from jobs.tests.notifications.stored import subscription_and_delivery
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of

pytestmark = pytest.mark.django_db
SUBSCRIPTIONS = "/v1/notifications/subscriptions"
DELIVERIES = "/v1/notifications/deliveries"
HOOK = {
    "name": "CRM", "channel": "webhook", "to": "https://hooks.example.com/token-1234?key=5678",
    "events": ["flag.changed", "job.failed"],
}  # fmt: skip


@pytest.fixture
def api(db: None) -> Api:
    return Api(_key("operator", Role.OPERATOR))


def test_the_overview_names_events_channels_and_what_sends(api: Api, settings: Any) -> None:
    settings.SEND_WEBHOOKS = True
    found = api.get("/v1/notifications").json()
    assert {channel["name"]: channel["sends"] for channel in found["channels"]} == {
        "email": False, "webhook": True, "push": False, "sms": False, "chat": False,
    }  # fmt: skip
    assert "job.failed" in [event["name"] for event in found["events"]]
    assert found["pushKey"] is None


def test_a_subscription_is_created_and_its_secret_is_shown_once(api: Api) -> None:
    created = api.post(SUBSCRIPTIONS, HOOK, **{"Idempotency-Key": "one"})
    assert created.status_code == 201
    body = created.json()
    assert body["secret"].startswith("whsec_")
    assert (body["to"], body["digestSeconds"], body["active"]) == ("https://hooks.example.com/…", 0, True)
    again = api.post(SUBSCRIPTIONS, HOOK, **{"Idempotency-Key": "one"})
    assert again.json() == body | {"secret": None}
    read = api.get(created["Location"])
    assert read.json() == {name: value for name, value in body.items() if name != "secret"}
    assert Subscription.objects.count() == 1


def test_no_secret_is_in_answers_rows_or_the_audit_log(api: Api) -> None:
    secret = api.post(SUBSCRIPTIONS, HOOK).json()["secret"]
    number = Subscription.objects.get().pk
    api.patch(f"{SUBSCRIPTIONS}/{number}", {"events": ["job.failed"]})
    api.post(f"{SUBSCRIPTIONS}/{number}/test")
    api.delete(f"{SUBSCRIPTIONS}/{number}")
    entries = list(AuditEntry.objects.filter(action__startswith="subscription.").order_by("pk"))
    assert [entry.action.partition(".")[2] for entry in entries] == ["create", "change", "test", "delete"]
    said = str([entry.details for entry in entries]) + str(list(Delivery.objects.values()))
    for word in (secret, "token-1234", "5678"):
        assert word not in said
    assert entries[1].details["before"]["events"] == ["flag.changed", "job.failed"]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"to": "http://hooks.example.com/"}, "invalid-subscription"),
        ({"to": "https://127.0.0.1/"}, "invalid-subscription"),
        ({"to": "https://[::ffff:10.0.0.1]/"}, "invalid-subscription"),
        ({"to": "https://169.254.169.254/latest"}, "invalid-subscription"),
        ({"to": ""}, "invalid-input"),
        ({"channel": "fax"}, "invalid-input"),
        ({"channel": "email"}, "invalid-subscription"),
        ({"events": []}, "invalid-input"),
        ({"events": ["unheard.of"]}, "invalid-subscription"),
        ({"digestSeconds": -1}, "invalid-input"),
        ({"person": "nobody"}, "person-not-found"),
        ({"organizationId": 999_999}, "organization-not-found"),
        ({"name": " "}, "invalid-input"),
        ({"unheard": "of"}, "invalid-input"),
    ],
)
def test_what_cannot_be_is_refused(api: Api, change: dict[str, Any], kind: str) -> None:
    answer = api.post(SUBSCRIPTIONS, HOOK | change)
    assert answer.status_code in (400, 404)
    assert kind_of(answer) == kind
    assert not Subscription.objects.exists()


def test_a_subscription_is_changed_stopped_and_started(api: Api) -> None:
    subscription, _ = subscription_and_delivery()
    address = f"{SUBSCRIPTIONS}/{subscription.pk}"
    changed = api.patch(address, {"name": "Night", "events": ["queue.paused"], "digestSeconds": 3600}).json()
    assert (changed["name"], changed["events"], changed["digestSeconds"]) == ("Night", ["queue.paused"], 3600)
    stopped = api.patch(address, {"active": False, "reason": "holidays"}).json()
    assert stopped["active"] is False
    assert "has stopped it" in stopped["endedBecause"]
    assert api.patch(address, {"active": True}).json()["endedBecause"] is None
    assert api.delete(address).status_code == 204
    assert api.get(address).status_code == 404


def test_a_test_goes_the_way_of_every_message(api: Api, receiver: Receiver) -> None:
    number = api.post(SUBSCRIPTIONS, HOOK | {"to": f"{receiver.url}/hook"}).json()["id"]
    sent = api.post(f"{SUBSCRIPTIONS}/{number}/test")
    assert (sent.status_code, sent.json()["status"]) == (202, "PENDING")
    run_all()
    followed = api.get(sent["Location"]).json()
    assert (followed["status"], followed["attempts"]) == ("SENT", 1)
    assert len(receiver.requests) == 1


def test_a_delivery_that_has_ended_is_replayed_with_the_same_id(api: Api, receiver: Receiver) -> None:
    number = api.post(SUBSCRIPTIONS, HOOK | {"to": f"{receiver.url}/hook"}).json()["id"]
    receiver.answers = [410]
    delivery = api.post(f"{SUBSCRIPTIONS}/{number}/test").json()
    address = f"{DELIVERIES}/{delivery['id']}"
    assert kind_of(api.post(f"{address}/replay")) == "delivery-open"
    run_all()
    assert api.get(address).json()["status"] == "FAILED"
    api.patch(f"{SUBSCRIPTIONS}/{number}", {"active": True})
    replayed = api.post(f"{address}/replay", {"reason": "mended"})
    assert (replayed.status_code, replayed.json()["status"]) == (202, "PENDING")
    assert replayed.json()["jobId"] != delivery["jobId"]
    run_all()
    assert api.get(address).json()["status"] == "SENT"
    assert [request.headers["webhook-id"] for request in receiver.requests] == [delivery["messageId"]] * 2
    assert AuditEntry.objects.get(action="delivery.replay").reason == "mended"


def test_deliveries_are_found_by_status_channel_and_subscription(api: Api) -> None:
    subscription, delivery = subscription_and_delivery()
    subscription_and_delivery(words="others", state=DeliveryState.OUTBOX)

    def found(**query: Any) -> list[int]:
        answer = api.get(DELIVERIES + "?" + "&".join(f"{name}={value}" for name, value in query.items()))
        return [row["id"] for row in answer.json()["results"]]

    assert found(status="SENT") == [delivery.pk]
    assert found(subscriptionId=subscription.pk) == [delivery.pk]
    assert found(channel="sms") == []
    assert len(found(channel="email")) == 2


def test_a_bound_key_manages_the_subscriptions_of_its_subtree_only(cast: Cast) -> None:
    bound = Api(_key("bound", Role.OPERATOR, cast.north))
    own, own_delivery = subscription_and_delivery(cast.oslo.pk, words="own")
    subscription_and_delivery(cast.rome.pk)
    subscription_and_delivery(words="of all")
    assert [row["id"] for row in bound.get(SUBSCRIPTIONS).json()["results"]] == [own.pk]
    assert [row["id"] for row in bound.get(DELIVERIES).json()["results"]] == [own_delivery.pk]
    created = bound.post(SUBSCRIPTIONS, HOOK)
    assert created.json()["organizationId"] == cast.north.pk
    refused = bound.post(SUBSCRIPTIONS, HOOK | {"organizationId": cast.rome.key})
    assert kind_of(refused) == "organization-not-found"


def test_a_notification_for_many_is_enqueued_and_checked_before_anything_is_sent(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notification_job, "BATCH_SIZE", 3)
    recipients = [{"channel": "email", "to": f"p{number}@example.com"} for number in range(7)]
    arguments = {"subject": "Hello", "text": "All is well.", "recipients": recipients}
    job = api.post("/v1/queue/jobs", {"kind": "notification", "arguments": arguments}).json()
    run_all()
    assert Delivery.objects.filter(state=DeliveryState.OUTBOX).count() == 7
    followed = api.get(f"/job-status/{job['jobId']}").json()
    assert (followed["status"], followed["result"]) == ("COMPLETED", {"deliveries": 7})
    wrong = arguments | {"recipients": [*recipients[:2], {"channel": "email", "to": "nobody"}]}
    wrong["recipients"] += [{"subscriptionId": 404}, {"channel": "sms", "to": "12345"}]
    refused = api.post("/v1/queue/jobs", {"kind": "notification", "arguments": wrong})
    assert (refused.status_code, kind_of(refused)) == (400, "invalid-job-arguments")
    assert {error["field"]: error["message"] for error in refused.json()["errors"]} == {
        "arguments.recipients.2.to": "The address is not a valid e-mail address.",
        "arguments.recipients.3.subscriptionId": "There is no subscription 404.",
        "arguments.recipients.4.to": "The telephone number must have the form +4712345678.",
    }
    assert Delivery.objects.count() == 7


def test_a_subscription_that_is_gone_when_the_job_starts_fails_it_before_anything_is_sent(api: Api) -> None:
    to_nobody = {"name": "n", "channel": "email", "to": "ann@example.com", "events": ["job.failed"]}
    subscription = api.post("/v1/notifications/subscriptions", to_nobody).json()["id"]
    recipients = [{"channel": "email", "to": "bob@example.com"}, {"subscriptionId": subscription}]
    arguments = {"subject": "Hello", "text": "All is well.", "recipients": recipients}
    job = api.post("/v1/queue/jobs", {"kind": "notification", "arguments": arguments}).json()
    api.delete(f"/v1/notifications/subscriptions/{subscription}")
    run_all()
    followed = api.get(f"/job-status/{job['jobId']}").json()
    assert (followed["status"], followed["canRetry"]) == ("FAILED", True)
    assert f"There is no subscription {subscription}. Nothing was sent." in followed["errorMessage"]
    assert not Delivery.objects.exists()


def test_a_bound_key_may_not_send_messages_to_everybody(cast: Cast) -> None:
    bound = Api(_key("bound", Role.OPERATOR, cast.north))
    arguments = {"subject": "x", "text": "x", "recipients": [{"channel": "email", "to": "a@example.com"}]}
    refused = bound.post("/v1/queue/jobs", {"kind": "notification", "arguments": arguments})
    assert kind_of(refused) == "outside-of-your-subtree"


def test_a_secret_is_rotated_and_the_new_one_is_shown_once(api: Api) -> None:
    created = api.post(SUBSCRIPTIONS, HOOK).json()
    address = f"{SUBSCRIPTIONS}/{created['id']}"
    rotated = api.post(f"{address}/rotate-secret", {"overlapSeconds": 3600}, **{"Idempotency-Key": "two"})
    assert rotated.status_code == 200
    secret = rotated.json()["secret"]
    assert secret.startswith("whsec_")
    assert secret != created["secret"]
    assert rotated.json()["formerSecretUntil"] is not None
    assert "no-store" in rotated["Cache-Control"]
    again = api.post(f"{address}/rotate-secret", {"overlapSeconds": 3600}, **{"Idempotency-Key": "two"})
    assert again.json() == rotated.json() | {"secret": None}
    assert api.get(address).json() == {name: value for name, value in rotated.json().items() if name != "secret"}
    at_once = api.post(f"{address}/rotate-secret", {"overlapSeconds": 0})
    assert at_once.json()["formerSecretUntil"] is None
    assert kind_of(api.post(f"{address}/rotate-secret", {"overlapSeconds": 90 * 86_400 + 1})) == "invalid-input"


def test_a_retry_of_a_notification_creates_no_delivery_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notification_job, "BATCH_SIZE", 3)
    create_many, calls = deliveries.create_many, []

    def die_after_the_second(given: Any) -> None:
        create_many(given)
        calls.append(given)
        if len(calls) == 2:
            raise RuntimeError("killed")

    monkeypatch.setattr(deliveries, "create_many", die_after_the_second)
    recipients = [{"channel": "email", "to": f"p{number}@example.com"} for number in range(7)]
    arguments = {"subject": "Hello", "text": "All is well.", "recipients": recipients}
    job = api.post("/v1/queue/jobs", {"kind": "notification", "arguments": arguments}).json()
    run_all()
    assert Delivery.objects.count() == 3
    let_time_pass()
    run_all()
    assert sorted(Delivery.objects.values_list("target_shown", flat=True)) == [
        f"p{number}@example.com" for number in range(7)
    ]
    followed = api.get(f"/job-status/{job['jobId']}").json()
    assert (followed["status"], followed["result"]) == ("COMPLETED", {"deliveries": 7})
    assert Job.objects.filter(kind="notification").latest("pk").processed == 7


def test_a_bound_key_learns_of_no_person_whom_it_may_not_see(cast: Cast) -> None:
    get_user_model().objects.create_user("stranger")
    bound = Api(_key("bound", Role.OPERATOR, cast.north))
    answers = [bound.post(SUBSCRIPTIONS, HOOK | {"person": name}) for name in ("stranger", "nobody")]
    assert [kind_of(answer) for answer in answers] == ["person-not-found"] * 2
    assert answers[0].json() == answers[1].json()


def test_as_many_statements_make_the_deliveries_for_many_recipients_as_for_few(api: Api) -> None:
    counts = []
    for many in (2, 100):
        recipients = [{"channel": "email", "to": f"p{number}@example.com"} for number in range(many)]
        arguments = {"subject": "Hello", "text": "All is well.", "recipients": recipients}
        job = api.post("/v1/queue/jobs", {"kind": "notification", "arguments": arguments}).json()
        with CaptureQueriesContext(connection) as captured:
            runner.run_one(deliveries.QUEUE)
        counts.append(len(captured))
        made = Delivery.objects.order_by("-pk")[:many]
        jobs = Job.objects.in_bulk([delivery.job_id for delivery in made])
        assert {jobs[delivery.job_id or 0].arguments["deliveryId"] for delivery in made} == {row.pk for row in made}
        assert {row.requested_by for row in jobs.values()} == {Job.objects.get(pk=job["jobId"]).requested_by}
        assert {row.max_retries for row in jobs.values()} == {Queue.objects.get(pk=deliveries.QUEUE).max_retries}
        run_all()
    assert counts[0] == counts[1]
    assert Delivery.objects.filter(state=DeliveryState.OUTBOX).count() == 102


def test_a_delivery_that_is_sent_ends_its_job_with_one_statement(mail: MailServer) -> None:
    email()
    email()
    runner.run_due("propagation")  # the process knows its queues
    with CaptureQueriesContext(connection) as captured:
        runner.run_due(deliveries.QUEUE)
    of_deliveries = [each["sql"] for each in captured if "jobs_delivery" in each["sql"]]
    assert len(of_deliveries) == 2 * 3  # read, count the attempt, record the acceptance
    assert [each["sql"] for each in captured if each["sql"].startswith("SELECT") and "FOR UPDATE" in each["sql"]] == []
    assert Job.objects.filter(status="COMPLETED").count() == 2


def test_an_organization_has_no_more_subscriptions_than_the_setting_allows(cast: Cast, settings: Any) -> None:
    settings.SUBSCRIPTIONS_PER_ORGANIZATION = 2
    acme = Api(_key("acme", Role.OPERATOR, organization=cast.acme))
    made = [acme.post(SUBSCRIPTIONS, HOOK).json()["id"] for _ in range(2)]
    refused = acme.post(SUBSCRIPTIONS, HOOK)
    assert (refused.status_code, kind_of(refused)) == (409, "too-many-subscriptions")
    assert "SUBSCRIPTIONS_PER_ORGANIZATION" in refused.json()["detail"]
    others: list[dict[str, Any]] = [{"organizationId": cast.north.pk}, {"organizationId": cast.rival.pk}, {}]
    everybody = Api(_key("all", Role.OPERATOR))
    assert [everybody.post(SUBSCRIPTIONS, HOOK | other).status_code for other in others] == [201] * 3
    assert everybody.post(SUBSCRIPTIONS, HOOK | {"organizationId": cast.acme.pk}).status_code == 409
    assert acme.delete(f"{SUBSCRIPTIONS}/{made[0]}").status_code == 204
    assert acme.post(SUBSCRIPTIONS, HOOK).status_code == 201


def test_the_subscriptions_of_people_count_for_each_person(db: None, settings: Any) -> None:
    settings.SUBSCRIPTIONS_PER_ORGANIZATION = 1
    everybody = Api(_key("all", Role.OPERATOR))
    for name in ("ada", "olga"):
        get_user_model().objects.create_user(name, email=f"{name}@example.com")
    mail = HOOK | {"channel": "email", "to": "ada@example.com"}
    told = [everybody.post(SUBSCRIPTIONS, mail | {"person": name}).status_code for name in ("ada", "olga", "ada")]
    assert told == [201, 201, 409]
    assert everybody.post(SUBSCRIPTIONS, HOOK).status_code == 201
