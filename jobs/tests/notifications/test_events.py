"""Events: recorded with what has happened, told to those who have subscribed, and gathered into one message."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from conftest import Cast
from jobs.engine import lifecycle, runner, worker_registry
from jobs.engine.kinds import job_kind
from jobs.engine.run import Run
from jobs.engine.worker_model import Worker
from jobs.errors import InvalidSubscription, PermanentFailure
from jobs.notifications import events, subscriptions, telling
from jobs.notifications.models import Delivery, DeliveryState, Event, Subscription
from jobs.operations import queue_operations
from jobs.tests.batches import batch_steps
from jobs.tests.notifications.doubles import MailServer, Receiver
from jobs.tests.notifications.sending import run_all, subscribe, tell_and_send
from orgs.access.caller import Caller
from orgs.access.models import Role, StaffScope

pytestmark = pytest.mark.django_db
FAILING = "failing-of-a-test"


@job_kind(FAILING)
def fail(run: Run) -> None:
    """Fail for good."""
    raise PermanentFailure("The disk is full.")


def failed_job(organization_id: int | None = None) -> int:
    """Let a job fail for good. Returns its id."""
    job = lifecycle.create(kind=FAILING, organization_id=organization_id)
    while runner.run_next("default") is not None:
        continue
    return job.pk


def texts(mail: MailServer) -> list[str]:
    return [str(message.get_payload()) for message in mail.messages]


def test_a_job_that_fails_for_good_is_told_by_e_mail(operator: Caller, mail: MailServer) -> None:
    subscribe(operator, "email", "ann@example.com")
    number = failed_job()
    tell_and_send()
    (message,) = mail.messages
    assert message["To"] == "ann@example.com"
    assert f"Job {number} ({FAILING}) has failed: The disk is full." in " ".join(texts(mail)[0].split())


def test_a_message_has_the_whole_address_of_the_page_that_it_is_about(
    operator: Caller, mail: MailServer, settings: Any
) -> None:
    settings.SITE_URL = "https://flags.example.com"
    subscribe(operator, "email", "ann@example.com")
    number = failed_job()
    tell_and_send()
    page = f"https://flags.example.com/admin/jobs/job/{number}/change/"
    assert page in texts(mail)[0].split()
    assert Delivery.objects.get().events["first"][0]["url"] == page


def test_without_the_address_of_the_site_a_message_has_the_path(operator: Caller, settings: Any) -> None:
    settings.SITE_URL = ""
    subscribe(operator, "email", "ann@example.com")
    number = failed_job()
    telling.tell_events()
    assert Delivery.objects.get().events["first"][0]["url"] == f"/admin/jobs/job/{number}/change/"


def test_without_subscriptions_a_failure_records_nothing_and_asks_nothing(db: None) -> None:
    assert not events.is_wanted("job.failed")
    job = lifecycle.create(kind=FAILING)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        runner.run_next("default")
    assert not [query for query in queries if "jobs_event" in query["sql"] or "jobs_subscription" in query["sql"]]
    job.refresh_from_db()
    assert job.status == "FAILED"


def test_an_event_of_a_transaction_that_is_rolled_back_is_not_told(operator: Caller) -> None:
    subscribe(operator, "email", "ann@example.com", events=["queue.paused"])
    with pytest.raises(RuntimeError), transaction.atomic():
        queue_operations.pause("default", by="user:olga", reason="deploy")
        raise RuntimeError
    assert not Event.objects.exists()


def test_a_storm_of_failures_is_one_message(operator: Caller, mail: MailServer, receiver: Receiver) -> None:
    """10,000 failures come in four waves, and workers tell and send after each. Some come by jobs that really fail."""
    subscribe(operator, "email", "ann@example.com", digest_seconds=60)
    subscribe(operator, "webhook", f"{receiver.url}/hook", digest_seconds=60)
    for wave in range(4):
        for _ in range(5):
            failed_job()
        Event.objects.bulk_create(
            Event(name="job.failed", subject=f"job:{wave}-{number}", text="It has failed.") for number in range(2_495)
        )
        assert telling.tell_events() == 2_500
        assert telling.tell_events() == 0
        run_all()
        assert (mail.messages, receiver.requests) == ([], []), "the messages wait for further events"
    tell_and_send()
    tell_and_send()
    (message,), (request,) = mail.messages, receiver.requests
    assert message["Subject"] == "Flagsite: 10,000 events: job.failed 10,000"
    assert json.loads(request.body)["data"]["counts"] == {"job.failed": 10_000}
    assert [row.events["counts"] for row in Delivery.objects.all()] == [{"job.failed": 10_000}] * 2
    assert not Event.objects.exists()


def test_the_message_waits_for_further_events(operator: Caller, mail: MailServer) -> None:
    subscribe(operator, "email", "ann@example.com", digest_seconds=60)
    failed_job()
    telling.tell_events()
    run_all()
    assert mail.messages == []
    failed_job()
    tell_and_send()
    assert len(mail.messages) == 1
    assert Delivery.objects.get().events["counts"] == {"job.failed": 2}
    failed_job()
    tell_and_send()
    assert len(mail.messages) == 2, "what comes after the message is a message of its own"


def test_an_event_that_a_dying_worker_has_taken_is_told_by_the_next(operator: Caller, monkeypatch: Any) -> None:
    subscribe(operator, "email", "ann@example.com")
    failed_job()

    def die(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(telling, "_gather", die)
    with pytest.raises(KeyboardInterrupt):
        telling.tell_events()
    monkeypatch.undo()
    assert telling.tell_events() == 1
    assert Delivery.objects.count() == 1


@pytest.mark.parametrize(("top", "count"), [("acme", 3), ("north", 1), ("rival", 0), (None, 4)])
def test_a_subscription_of_an_organization_gets_the_events_of_its_subtree(
    cast: Cast, operator: Caller, top: str | None, count: int
) -> None:
    subscribe(operator, "email", "ann@example.com", organization=getattr(cast, top).pk if top else None)
    for organization in (cast.acme, cast.oslo, cast.rome):
        failed_job(organization.pk)
    failed_job()
    telling.tell_events()
    found = Delivery.objects.first()
    assert sum(found.events["counts"].values()) == count if found else count == 0


def test_a_person_gets_no_more_than_the_person_may_see(cast: Cast, operator: Caller) -> None:
    ann = User.objects.create_user("ann")
    ann.groups.add(Group.objects.get(name="viewer"))
    StaffScope.objects.create(user=ann, organization=cast.north)
    subscribe(operator, "email", "ann@example.com", person="ann")
    failed_job(cast.rome.pk)
    failed_job(cast.oslo.pk)
    telling.tell_events()
    assert Delivery.objects.get().events["counts"] == {"job.failed": 1}


def test_a_person_who_is_not_active_gets_nothing(operator: Caller) -> None:
    User.objects.create_user("ann", is_active=False)
    subscribe(operator, "email", "ann@example.com", person="ann")
    failed_job()
    telling.tell_events()
    assert not Delivery.objects.exists()


def test_a_paused_queue_is_told_with_the_reason(operator: Caller) -> None:
    subscribe(operator, "email", "ann@example.com", events=["queue.paused"])
    queue_operations.pause("default", by="user:olga", reason="deploy")
    queue_operations.pause("default", by="user:olga", reason="deploy")
    telling.tell_events()
    (told,) = Delivery.objects.get().events["first"]
    assert told["text"] == "user:olga has paused the queue default: deploy"
    assert told["details"] == {"queue": "default", "by": "user:olga", "reason": "deploy"}


def test_a_worker_that_does_not_report_is_told_once(operator: Caller) -> None:
    subscribe(operator, "email", "ann@example.com", events=["worker.gone"])
    Worker.objects.create(token="a", host="alpha", pid=7, queues=["default"])
    assert worker_registry.notice_gone() == 0
    Worker.objects.update(seen_at=timezone.now() - timedelta(seconds=worker_registry.ALIVE_SECONDS + 1))
    assert worker_registry.notice_gone() == 1
    assert worker_registry.notice_gone() == 0
    assert "alpha:7" in Event.objects.get().text


def test_the_end_of_a_batch_is_told_with_its_outcome(operator: Caller) -> None:
    subscribe(operator, "email", "ann@example.com", events=["batch.ended"])
    batch = batch_steps.batch_of(2)
    batch_steps.complete(batch_steps.claim())
    assert not Event.objects.exists()
    batch_steps.fail(batch_steps.claim())
    telling.tell_events()
    (told,) = Delivery.objects.get().events["first"]
    assert told["text"] == f"Batch {batch.pk} (a batch) has ended as PARTIAL."
    assert told["details"]["succeeded"] == told["details"]["failed"] == 1


def test_a_failing_delivery_is_no_event(operator: Caller, mail: MailServer) -> None:
    subscribe(operator, "email", "ann@example.com")
    mail.answers = ["550 no"]
    failed_job()
    tell_and_send()
    assert Delivery.objects.get().state == DeliveryState.FAILED
    assert not Event.objects.exists()


def test_the_subscriptions_of_a_deleted_organization_go_with_it(cast: Cast, operator: Caller) -> None:
    subscribe(operator, "email", "ann@example.com", organization=cast.oslo.pk)
    number, _ = subscribe(operator, "email", "ann@example.com", organization=cast.rome.pk)
    cast.north.refresh_from_db()
    cast.north.delete()
    assert list(Subscription.objects.values_list("pk", flat=True)) == [number]


def test_a_bound_caller_subscribes_for_its_own_subtree_only(cast: Cast) -> None:
    bound = Caller("key:abc", Role.OPERATOR, cast.north.pk)
    number, _ = subscribe(bound, "email", "ann@example.com")
    assert Subscription.objects.get(pk=number).organization_id == cast.north.pk
    with pytest.raises(Exception, match="organization"):
        subscribe(bound, "email", "ann@example.com", organization=cast.rome.pk)


@pytest.mark.parametrize("name", sorted(events.all_events()))
def test_a_subscription_of_an_organization_takes_exactly_the_events_that_may_concern_one(
    cast: Cast, operator: Caller, name: str
) -> None:
    User.objects.create_user("ann")
    StaffScope.objects.create(user=User.objects.get(), organization=cast.north)
    bound = Caller("key:bound", Role.OPERATOR, cast.north.pk)
    never = {"queue.paused", "worker.gone", "flag.stale"}
    assert events.concerns_organizations(name) == (name not in never)
    for caller, more in ((operator, {"organization": cast.north.pk}), (operator, {"person": "ann"}), (bound, {})):
        if name in never:
            with pytest.raises(InvalidSubscription, match=f"never told of {name}.*The events of an organization are"):
                subscribe(caller, "email", "ann@example.com", events=[name, "job.failed"], **more)
            number, _ = subscribe(caller, "email", "ann@example.com", **more)
            with pytest.raises(InvalidSubscription, match="never told"):
                subscriptions.change(caller, Subscription.objects.get(pk=number), events=[name])
        else:
            subscribe(caller, "email", "ann@example.com", events=[name], **more)
    subscribe(operator, "email", "ann@example.com", events=[name])


def test_what_concerns_all_organizations_in_one_sentence_is_told_to_each(cast: Cast, operator: Caller) -> None:
    subscribe(operator, "email", "north@example.com", events=["flag.changed"], organization=cast.north.pk)
    subscribe(operator, "email", "all@example.com", events=["flag.changed"])
    more = {"text_below": "The definition of the flag x was changed: killed.", "by": "user:olga"}
    events.notify("flag.changed", "user:olga has changed it.", subject="flag:x", **more)
    telling.tell_events()
    north, everybody = (Delivery.objects.get(target_shown=f"{who}@example.com") for who in ("north", "all"))
    (told,) = north.events["first"]
    assert (told["text"], told["details"]) == (more["text_below"], {})
    assert everybody.events["first"][0]["details"] == {"by": "user:olga"}
