"""What is sent again as it was is answered again without being read, and never otherwise than if it had been read."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any
from weakref import ref

import pytest
from django.db import transaction
from django.db.models import Q, QuerySet
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from conftest import Cast
from flags.definitions.models import Flag
from flags.evaluation.engine import StateValue
from flags.serving import usage_counter
from flags.serving.access_key_cache import FRESH_SECONDS
from flags.serving.cache_events import OrganizationMoved, StatesWritten
from flags.serving.ofrep import not_modified_cache, remote_evaluation
from flags.states.models import FlagState
from flags.states.sql import next_number
from flags.tests.serving.asking import FLAGS, Answer, Asking
from orgs.access import access_keys
from orgs.access.models import AccessKey, Role
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db
Poll = Callable[[], Answer]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bodies that were read."""
    bodies: list[bytes] = []
    real = remote_evaluation.parse_context
    monkeypatch.setattr(remote_evaluation, "parse_context", lambda body: bodies.append(body) or real(body))  # type: ignore[func-returns-value]
    return bodies


@pytest.fixture
def flag(cast: Cast) -> Flag:
    return Flag.objects.create(key="checkout", enabled=True, rollout_percentage=50)


def polled(asking: Asking, path: str = FLAGS, **context: Any) -> Poll:
    """Asks the same with the tag of the first answer, which it has asked with twice already."""
    tag = asking.post(path, {"context": context}).headers["ETag"]

    def poll() -> Answer:
        return asking.post(path, {"context": context}, headers={"If-None-Match": tag})

    assert [poll().status, poll().status] == [304, 304]
    return poll


def test_a_request_that_is_sent_again_is_answered_without_being_read(
    cast: Cast, flag: Flag, asking: Asking, read: list[bytes]
) -> None:
    for context in ({"organizationId": cast.oslo.pk}, {"organizationKey": cast.oslo.key}, {}):
        poll = polled(asking, targetingKey="joe", **context)
        read.clear()
        answer = poll()
        assert not read
        assert (answer.status, answer.body) == (304, None)
        fresh = Asking(asking.key).all(headers={"If-None-Match": answer.headers["ETag"]}, targetingKey="joe", **context)
        assert answer.headers == fresh.headers


@pytest.mark.parametrize("sent", ["{}, {}", "W/{}", "*"])
def test_a_tag_that_is_sent_otherwise_than_it_was_given_is_read(
    cast: Cast, flag: Flag, asking: Asking, read: list[bytes], sent: str
) -> None:
    tag = asking.all(targetingKey="joe").headers["ETag"]
    for _ in range(3):
        assert asking.all(targetingKey="joe", headers={"If-None-Match": sent.format(tag, tag)}).status == 304
    assert len(read) == 4


def test_it_counts_as_an_evaluation_and_in_its_callers_budget(
    cast: Cast, flag: Flag, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[tuple[int | None, str]] = []
    poll = polled(asking, organizationId=cast.oslo.pk, targetingKey="joe")
    monkeypatch.setattr(
        usage_counter, "count_all", lambda one, environment: counted.append((one.organization_id, environment))
    )
    asking.evaluation.budget.most = 4  # the fixture has asked three times
    assert poll().status == 304
    assert counted == [(cast.oslo.pk, "")]
    assert poll().status == 429


def test_a_caller_who_is_looked_up_anew_and_is_the_same_need_not_be_read(
    cast: Cast, flag: Flag, asking: Asking, read: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    poll = polled(asking, organizationId=cast.oslo.pk, targetingKey="joe")
    (digest, (looked_up, caller)), *_ = asking.access_keys._valid.items()
    asking.access_keys._valid[digest] = looked_up - FRESH_SECONDS, caller
    read.clear()
    assert poll().status == 304
    assert asking.access_keys._valid[digest][0] > looked_up - FRESH_SECONDS
    assert not read


def test_another_request_with_the_same_tag_is_read(cast: Cast, flag: Flag, asking: Asking) -> None:
    context = {"organizationId": cast.oslo.pk, "targetingKey": "joe"}
    tag = asking.all(**context).headers["ETag"]
    header = {"If-None-Match": tag}
    polled(asking, **context)
    assert asking.all(headers=header, **{**context, "targetingKey": "ann"}).status == 200
    assert asking.all(headers=header, **{**context, "organizationId": cast.rome.pk}).status == 200
    assert asking.post(f"/organizations/{cast.rome.pk}{FLAGS}", {"context": context}, headers=header).status == 200
    assert asking.post(f"{FLAGS}/checkout", {"context": context}, headers=header).body["key"] == "checkout"
    assert asking.post(FLAGS, {"context": context}, headers=header, method="GET").status == 405
    other_key = access_keys.create(name="other", role=Role.READER, organization=cast.acme)[1]
    assert asking.all(headers={**header, "Authorization": f"Bearer {other_key}"}, **context).status == 200
    assert asking.all(headers={**header, "Authorization": "Bearer no.body"}, **context).status == 401


def test_what_has_changed_since_is_answered_anew(cast: Cast, flag: Flag, asking: Asking) -> None:
    cache = asking.cache

    def poll() -> Poll:
        return polled(asking, organizationId=cast.oslo.pk, targetingKey="joe")

    after_a_definition = poll()
    Flag.objects.update(enabled=False)
    cache.reload_definitions()
    assert after_a_definition().status == 200

    after_a_state = poll()
    cache.notify(
        StatesWritten(cast.acme.pk, 0, 2**40, StateValue(flag.pk, enabled=True, source_id=cast.acme.pk, number=7))
    )
    assert after_a_state().status == 200

    after_a_move = poll()
    cast.oslo.move_to(cast.south)
    cache.notify(OrganizationMoved(cast.oslo.pk))
    assert after_a_move().status == 200

    after_a_gap = poll()
    FlagState.objects.create(organization=cast.oslo, flag=flag, source_id=cast.oslo.pk, change_number=8, enabled=True)
    cache.clear()
    assert after_a_gap().status == 200


def test_of_many_requests_those_are_known_that_were_read_last(
    cast: Cast, flag: Flag, asking: Asking, read: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(not_modified_cache, "MOST", 2)
    first, second, third = (polled(asking, targetingKey=user) for user in ("joe", "ann", "eve"))
    read.clear()
    assert [poll().status for poll in (second, third)] == [304, 304]
    assert not read
    assert first().status == 304
    assert len(read) == 1
    assert len(asking.evaluation.not_modified._entries) == 2


def test_a_long_request_is_read_each_time(cast: Cast, flag: Flag, asking: Asking, read: list[bytes]) -> None:
    poll = polled(asking, targetingKey="x" * not_modified_cache.LONGEST_BODY)
    read.clear()
    assert poll().status == 304
    assert len(read) == 1


def test_nothing_lives_longer_because_a_request_was_answered_from_it(cast: Cast, flag: Flag, asking: Asking) -> None:
    FlagState.objects.create(organization=cast.oslo, flag=flag, enabled=True, source_id=cast.oslo.pk, change_number=1)
    poll = polled(asking, organizationId=cast.oslo.pk, targetingKey="joe")
    snapshot = asking.cache.snapshot(cast.oslo.pk)
    was = [ref(snapshot), ref(snapshot.states), ref(asking.cache.definitions().compiled[""])]
    del snapshot
    asking.cache._most = 1
    for _ in range(2):  # the first time it was used a moment ago
        asking.all(organizationId=cast.rome.pk, targetingKey="joe")
        asking.cache.snapshot(cast.bergen.pk)
    Flag.objects.update(whitelist=["vip"])
    asking.cache.reload_definitions()
    gc.collect()
    assert [one() for one in was] == [None] * 3
    assert poll().status == 200


def test_a_key_of_digits_names_the_same_organization_when_another_gets_them_as_its_id(
    cast: Cast, flag: Flag, asking: Asking
) -> None:
    Organization.objects.create(name="Digits", key="987654321")
    poll = polled(asking, f"/organizations/key:987654321{FLAGS}", targetingKey="joe")
    Organization.objects.create(pk=987654321, name="Newcomer", key="newcomer")
    assert poll().status == 304


# --- Whatever happens ------------------------------------------------------------------------------------------------
ORGANIZATIONS = ("acme", "north", "oslo", "south", "rome")
REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("all", FLAGS, {"targetingKey": "joe"}),
    ("all", FLAGS, {"targetingKey": "joe", "organizationKey": "oslo"}),
    ("all", f"/organizations/rome{FLAGS}", {"targetingKey": "joe", "environment": "staging"}),
    ("all", f"/organizations/4242{FLAGS}", {"targetingKey": "joe"}),
    ("bound", FLAGS, {"targetingKey": "joe"}),
    ("bound", FLAGS, {"targetingKey": "ann", "organizationKey": "oslo"}),
    ("bound", f"/organizations/north{FLAGS}", {"targetingKey": "ann"}),
]
happens = st.one_of(
    st.tuples(st.just("set"), st.sampled_from(ORGANIZATIONS), st.booleans()),
    st.tuples(st.just("define"), st.sampled_from(["enabled", "rollout_percentage", "environments", "archived"])),
    st.tuples(st.just("move"), st.sampled_from(ORGANIZATIONS), st.sampled_from(ORGANIZATIONS)),
    st.tuples(st.just("rename"), st.sampled_from(ORGANIZATIONS), st.sampled_from(["oslo", "rome", "north"])),
    st.tuples(st.just("delete"), st.sampled_from(["oslo", "rome"])),
    st.tuples(st.just("create"), st.sampled_from(["oslo", "rome", "4242"]), st.sampled_from([None, 4242])),
    st.tuples(st.just("bind"), st.sampled_from(ORGANIZATIONS)),
    st.tuples(st.just("revoke")),
    st.tuples(st.just("forget")),
)


class Installation:
    """A process that hears of everything, and clients of it that send the same again and again."""

    def __init__(self) -> None:
        self.flag = Flag.objects.create(key="checkout", enabled=True)
        _, everything = access_keys.create(name="all", role=Role.READER)
        _, bound = access_keys.create(name="bound", role=Role.READER, organization=Organization.objects.get(key="acme"))
        self.ids = dict(Organization.objects.values_list("key", "pk"))
        self.process = Asking("")
        self.keys = {"all": everything, "bound": bound}
        self.tags: dict[int, str] = {}
        self.definitions = 0

    def ask(self, number: int) -> None:
        """The same answer as from a process that knows nothing of what was before."""
        whose, path, context = REQUESTS[number]
        headers = {"If-None-Match": self.tags[number]} if number in self.tags else {}
        self.process.key = self.keys[whose]
        answer = self.process.post(path, {"context": context}, headers=headers)
        assert answer == Asking(self.keys[whose]).post(path, {"context": context}, headers=headers)
        if "ETag" in answer.headers:
            self.tags[number] = answer.headers["ETag"]

    def set(self, place: str, enabled: bool) -> None:
        number = next_number()  # above those that moves have drawn
        for top in self._there(place):
            state = {"source_id": top.pk, "change_number": number, "enabled": enabled}
            for one in Organization.objects.under(top):
                FlagState.objects.update_or_create(organization=one, flag=self.flag, defaults=state)
            event = StateValue(self.flag.pk, enabled=enabled, source_id=top.pk, number=number)
            self.process.cache.notify(StatesWritten(top.pk, 0, 2**40, event))

    def define(self, what: str) -> None:
        values = {"enabled": [True, False], "rollout_percentage": [None, 30], "environments": [{}, {"staging": False}],
                  "archived": [False, True]}[what]  # fmt: skip
        self.definitions += 1
        Flag.objects.update(**{what: values[self.definitions % 2]})
        self.process.cache.reload_definitions()

    def move(self, place: str, to: str) -> None:
        for organization, target in zip(self._there(place), self._there(to), strict=False):
            if not Organization.objects.under(organization).filter(pk=target.pk).exists():
                organization.move_to(target)
                self.process.cache.notify(OrganizationMoved(organization.pk))

    def rename(self, place: str, key: str) -> None:
        if not Organization.objects.filter(key=key).exists():
            Organization.objects.filter(pk=self.ids[place]).update(key=key)
            self.process.cache.notify(OrganizationMoved(self.ids[place]))

    def delete(self, place: str) -> None:
        for organization in self._there(place):
            below = list(Organization.objects.under(organization).values_list("pk", flat=True))
            organization.delete()
            for pk in below:
                self.process.cache.notify(OrganizationMoved(pk))
            self.process.access_keys.clear()  # keys bound to what is gone are gone as well

    def create(self, key: str, pk: int | None) -> None:
        if not Organization.objects.filter(Q(key=key) | Q(pk=pk)).exists():
            Organization(pk=pk, name=key, key=key, parent_id=self.ids["acme"]).save(force_insert=True)
            if key.isdecimal():  # as the trigger does: the id alone does not name the other one any more
                self.process.cache.notify(OrganizationMoved(int(key)))

    def bind(self, place: str) -> None:
        if self._there(place):
            AccessKey.objects.filter(name="bound").update(organization=self.ids[place])
            self.process.access_keys.clear()

    def revoke(self) -> None:
        AccessKey.objects.filter(name="bound").update(revoked=True)
        self.process.access_keys.clear()

    def forget(self) -> None:
        self.process.cache.clear()

    def _there(self, place: str) -> QuerySet[Organization]:
        return Organization.objects.filter(pk=self.ids[place])


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(steps=[("set", "south", True), ("move", "oslo", "south"), ("set", "oslo", False)])
@given(steps=st.lists(happens, min_size=3, max_size=12))
def test_whatever_happens_a_request_is_answered_as_by_a_process_that_never_saw_it(
    cast: Cast, steps: list[tuple[Any, ...]]
) -> None:
    with transaction.atomic():
        installation = Installation()
        for name, *parameters in steps:
            for number in (*range(len(REQUESTS)), *range(len(REQUESTS))):
                installation.ask(number)
            getattr(installation, name)(*parameters)
            for number in range(len(REQUESTS)):
                installation.ask(number)
        transaction.set_rollback(True)
