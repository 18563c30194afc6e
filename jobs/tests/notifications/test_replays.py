"""The replay of many deliveries: by HTTP, in the admin site, by command, and in a job that survives its worker."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from conftest import Cast, _key
from jobs.engine import runner
from jobs.engine.models import Job
from jobs.notifications import deliveries, replays
from jobs.notifications.models import Delivery, DeliveryState
from jobs.notifications.replays import Selection
from jobs.tests.notifications.sending import QUEUE, run_all
from jobs.tests.notifications.stored import subscription_and_delivery
from jobs.tests.notifications.test_notification_commands import said
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
ADDRESS = "/v1/notifications/deliveries/replay"
LIST = "/admin/jobs/delivery/"


def ended(number: int, state: str = DeliveryState.FAILED, **columns: Any) -> list[int]:
    """Create deliveries that have ended like this. Returns their ids."""
    _, first = subscription_and_delivery(words=f"{state}{Delivery.objects.count()}", state=state)
    Delivery.objects.filter(pk=first.pk).update(**columns)
    more = [
        Delivery(channel="email", target=first.target, target_shown="x", subject="x", message_id=f"{first.pk}-{each}",
                 state=state, **columns)
        for each in range(number - 1)
    ]  # fmt: skip
    return [first.pk, *(row.pk for row in Delivery.objects.bulk_create(more))]


def states() -> dict[int, str]:
    return dict(Delivery.objects.order_by("pk").values_list("pk", "state"))


@pytest.fixture
def api(db: None) -> Api:
    return Api(_key("operator", Role.OPERATOR))


def test_those_that_match_are_replayed_and_the_others_stay(api: Api) -> None:
    old = ended(1)
    Delivery.objects.update(created_at=F("created_at") - timedelta(days=2))
    failed, kept, hooks = ended(3), ended(2, DeliveryState.OUTBOX), ended(1, channel="webhook")
    body = {"channel": "email", "since": Delivery.objects.get(pk=failed[0]).created_at.isoformat(), "reason": "mended"}
    counted = api.post(ADDRESS, body | {"dryRun": True}).json()
    assert (counted["wouldReplay"], counted["replayed"]) == (3, 0)
    done = api.post(ADDRESS, body)
    assert (done.status_code, done.json()["replayed"], done.json()["jobId"]) == (200, 3, None)
    assert {number for number, state in states().items() if state == "PENDING"} == set(failed)
    assert {states()[number] for number in old + hooks} == {"FAILED"}
    assert {states()[number] for number in kept} == {"OUTBOX"}
    assert {entry.reason for entry in AuditEntry.objects.filter(action="delivery.replay")} == {"mended"}


def test_without_filters_all_that_failed_are_replayed_with_the_same_message_ids(api: Api) -> None:
    failed, sent = ended(2), ended(2, DeliveryState.SENT)
    before = set(Delivery.objects.values_list("message_id", flat=True))
    assert api.post(ADDRESS, {}).json()["replayed"] == 2
    run_all()
    assert {states()[number] for number in failed} == {"OUTBOX"}
    assert {states()[number] for number in sent} == {"SENT"}
    assert set(Delivery.objects.values_list("message_id", flat=True)) == before


@pytest.mark.parametrize("body", [{"status": "PENDING"}, {"status": "GATHERING"}, {"channel": "fax"}, {"unheard": 1}])
def test_what_cannot_be_replayed_is_refused(api: Api, body: dict[str, Any]) -> None:
    assert kind_of(api.post(ADDRESS, body)) == "invalid-input"


def test_a_bound_caller_replays_the_own_subtree_only(cast: Cast) -> None:
    _, own = subscription_and_delivery(cast.oslo.pk, words="own", state=DeliveryState.FAILED)
    _, other = subscription_and_delivery(cast.rome.pk, words="other", state=DeliveryState.FAILED)
    bound = Api(_key("bound", Role.OPERATOR, cast.north))
    assert kind_of(bound.post(ADDRESS, {"organizationId": cast.rome.pk})) == "organization-not-found"
    assert bound.post(ADDRESS, {}).json()["replayed"] == 1
    assert (states()[own.pk], states()[other.pk]) == ("PENDING", "FAILED")
    assert Api(_key("all", Role.OPERATOR)).post(ADDRESS, {"organizationId": "south"}).json()["replayed"] == 1


def test_many_are_replayed_by_a_job_of_its_own(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "MOST_IN_REQUEST", 3)
    numbers = ended(5)
    accepted = api.post(ADDRESS, {"reason": "mended"})
    assert (accepted.status_code, accepted.json()["wouldReplay"]) == (202, 5)
    later = ended(1)
    run_all()
    assert {states()[number] for number in numbers} == {"OUTBOX"}
    assert states()[later[0]] == "FAILED", "it came after the request"
    job = api.get(accepted["Location"]).json()
    assert job["status"] == "COMPLETED"
    assert Job.objects.get(kind=replays.KIND).processed == 5
    assert AuditEntry.objects.get(action="deliveries.replay").details["deliveries"] == 5


def test_a_killed_worker_replays_no_delivery_twice(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "MOST_IN_REQUEST", 1)
    numbers = ended(4)
    replay, seen = deliveries.replay, []

    def die_at_the_third(delivery: Delivery, **words: Any) -> Delivery:
        seen.append(delivery.pk)
        if len(seen) == 3:
            raise RuntimeError("killed")
        return replay(delivery, **words)

    monkeypatch.setattr(deliveries, "replay", die_at_the_third)
    assert api.post(ADDRESS, {}).status_code == 202
    Job.objects.filter(kind=replays.KIND).update(priority=50)
    assert runner.run_next(QUEUE)
    Job.objects.filter(kind=replays.KIND).update(run_at=F("created_at"))
    assert runner.run_next(QUEUE)
    assert seen == [*numbers[:3], *numbers[2:]]
    assert AuditEntry.objects.filter(action="delivery.replay").count() == 4
    assert (
        list(Job.objects.filter(kind=replays.KIND).order_by("pk").values_list("status", flat=True))[-1] == "COMPLETED"
    )


def test_one_replay_covers_a_bounded_number_and_says_how_many_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "MOST", 2)
    numbers = ended(5)
    caller = Caller("user:olga", Role.OPERATOR)
    done = replays.replay_all(caller, replays.selected(caller, Selection()))
    assert (done.count, done.left) == (2, 3)
    assert [number for number, state in states().items() if state == "PENDING"] == numbers[:2], "the oldest"


def test_the_job_of_a_person_who_may_no_longer_replay_replays_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays, "MOST_IN_REQUEST", 1)
    numbers = ended(3)
    caller = Caller("user:nobody", Role.OPERATOR)
    replays.replay_all(caller, replays.selected(caller, Selection()))
    run_all()
    assert {states()[number] for number in numbers} == {"FAILED"}
    assert Job.objects.get(kind=replays.KIND).status == "FAILED"


def test_a_list_of_the_admin_site_replays_what_is_ticked(db: None) -> None:
    client = signed_in("operator")
    failed, waiting = ended(2), ended(1, DeliveryState.PENDING)
    ticked = {"action": "replay", "_selected_action": [*failed[:1], *waiting]}
    question = shown(client.post(LIST, ticked))
    assert "Replay 1 delivery" in question
    assert "1 will be skipped: it is under way." in " ".join(question.split())
    done = client.post(LIST, ticked | {"confirmed": "1", "reason": "mended"}, follow=True)
    assert "1 delivery replayed." in shown(done)
    assert (states()[failed[0]], states()[failed[1]]) == ("PENDING", "FAILED")


def test_all_that_a_list_finds_are_replayed_by_a_job_if_they_are_many(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays, "MOST_IN_REQUEST", 3)
    client = signed_in("operator")
    failed, kept = ended(5), ended(2, DeliveryState.OUTBOX)
    found = f"{LIST}?state__exact=FAILED"
    every = {"action": "replay", "select_across": "1", "_selected_action": [failed[0]]}
    assert "a job of its own" in shown(client.post(found, every))
    answer = client.post(found, every | {"confirmed": "1", "reason": ""})
    job = Job.objects.get(kind=replays.KIND)
    assert answer["Location"] == f"/admin/jobs/job/{job.pk}/change/"
    assert shown(client.get(answer["Location"]))
    run_all()
    assert {states()[number] for number in failed} == {"OUTBOX"}
    assert Delivery.objects.filter(pk__in=kept, attempts=0, job_id=None).count() == 2


def test_the_list_is_as_fast_for_a_replay_of_many(db: None) -> None:
    """The question counts, and reads no row for each delivery."""
    client = signed_in("operator")

    def queries(numbers: list[int]) -> int:
        with CaptureQueriesContext(connection) as made:
            client.post(LIST, {"action": "replay", "_selected_action": numbers})
        return len(made)

    assert queries(ended(2)) == queries(ended(30))


def test_the_command_replays_by_status_and_counts_first(db: None) -> None:
    numbers = ended(3, DeliveryState.OUTBOX)
    ended(1)
    assert said("replay_delivery", "--status", "OUTBOX", "--channel", "email", "--dry-run")["wouldReplay"] == 3
    assert set(states().values()) == {"OUTBOX", "FAILED"}
    assert said("replay_delivery", "--status", "OUTBOX", "--since", "1h")["replayed"] == 3
    assert {states()[number] for number in numbers} == {"PENDING"}


@pytest.mark.parametrize("arguments", [[], ["1", "--status", "FAILED"], ["1", "--dry-run"], ["--channel", "email"]])
def test_the_command_takes_ids_or_a_status(db: None, arguments: list[str]) -> None:
    with pytest.raises(Exception, match="Name either the ids"):
        said("replay_delivery", *arguments)


def test_the_page_of_the_job_does_not_list_all_its_deliveries(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "MOST_IN_REQUEST", 1)
    ended(40)
    caller = Caller("user:pat", Role.OPERATOR)
    job = replays.replay_all(caller, replays.selected(caller, Selection())).job
    assert job is not None
    page = shown(signed_in("operator").get(f"/admin/jobs/job/{job.pk}/change/"))
    assert json.dumps(job.arguments["deliveries"]) not in page
