"""What PostgreSQL sends at each change is what processes decode, whoever makes the change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

import psycopg
import pytest
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from conftest import Cast
from flags.definitions.models import Flag
from flags.evaluation.engine import StateValue
from flags.segments.models import Segment
from flags.serving.cache_events import (
    NOTIFICATION_CHANNEL,
    AccessKeyChanged,
    AttributeChanged,
    CacheEvent,
    EverythingOf,
    OrganizationMoved,
    StatesWritten,
    decode,
    encode,
)
from flags.serving.operator_invalidation import invalidate
from flags.states import propagation
from flags.states.models import FlagState
from flags.states.set_flag import set_flag
from jobs.engine import runner
from orgs.access import access_keys
from orgs.access.caller import Caller
from orgs.access.models import AccessKey, Role
from orgs.attributes import attribute_operations
from orgs.attributes.models import OrganizationAttribute
from orgs.tree import locks, tree_operations
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db(transaction=True)
ADMIN = Caller("key:admin nightly", Role.ADMIN)
ids = st.integers(1, 2**63 - 1)
events = st.one_of(
    st.builds(
        StatesWritten,
        ids,
        ids,
        ids,
        st.builds(StateValue, flag_id=ids, enabled=st.booleans(), source_id=ids, number=ids),
    ),
    st.builds(OrganizationMoved, ids),
    st.builds(AttributeChanged, ids, st.text()),
    st.builds(AccessKeyChanged, st.text()),
    st.sampled_from(EverythingOf),
)
Sent = Callable[[], list[CacheEvent]]


@pytest.fixture
def sent(cast: Cast) -> Iterator[Sent]:
    """The events of all notifications since the last call, in their order; those of the cast are left out."""
    parameters = connection.get_connection_params()
    plain = {name: value for name, value in parameters.items() if name not in {"context", "cursor_factory"}}
    with psycopg.connect(**{**plain, "autocommit": True}) as listening:
        listening.execute(f"LISTEN {NOTIFICATION_CHANNEL}")

        def since_last_call() -> list[CacheEvent]:
            listening.execute("SELECT 1")  # its answer comes after all that was committed before
            return [decode(one.payload) for one in listening.notifies(timeout=0)]

        yield since_last_call


def truncate(table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {table} CASCADE")


def test_each_change_of_a_definition_is_sent(sent: Sent) -> None:
    flag, needed = Flag.objects.create(key="checkout"), Flag.objects.create(key="payment")
    assert sent() == [EverythingOf.DEFINITIONS] * 2
    Flag.objects.filter(pk=flag.pk).update(rollout_percentage=Decimal(5))
    assert sent() == [EverythingOf.DEFINITIONS]
    flag.prerequisites.add(needed)
    assert sent() == [EverythingOf.DEFINITIONS]
    flag.prerequisites.clear()
    assert sent() == [EverythingOf.DEFINITIONS]
    Flag.objects.filter(pk=flag.pk)._raw_delete("default")
    assert sent() == [EverythingOf.DEFINITIONS]


def test_each_change_of_a_segment_is_sent_as_one_of_definitions(sent: Sent) -> None:
    segment = Segment.objects.create(key="beta")
    assert sent() == [EverythingOf.DEFINITIONS]
    Segment.objects.filter(pk=segment.pk).update(included=["ann"])
    assert sent() == [EverythingOf.DEFINITIONS]
    segment.delete()
    assert sent() == [EverythingOf.DEFINITIONS]


def test_a_value_on_a_leaf_is_sent_with_its_change(cast: Cast, sent: Sent) -> None:
    set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True)
    state = FlagState.objects.get(organization=cast.oslo)
    value = StateValue(state.flag_id, enabled=True, source_id=cast.oslo.pk, number=state.change_number)
    *definitions, written = sent()
    assert set(definitions) == {EverythingOf.DEFINITIONS}
    assert isinstance(written, StatesWritten)
    assert written.root_id == cast.oslo.pk
    assert written.after < cast.oslo.pk <= written.last
    assert written.state == value


def test_the_chunks_of_a_job_are_sent_and_together_reach_the_whole_subtree(
    cast: Cast, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(propagation, "MIN_CHUNK_SIZE", 2)
    Flag.objects.create(key="checkout")
    set_flag(organization_id=cast.acme.pk, flag_key="checkout", enabled=True)
    sent()
    while runner.run_next("propagation"):
        pass
    written = [event for event in sent() if isinstance(event, StatesWritten)]
    state = FlagState.objects.get(organization=cast.rome)
    value = StateValue(state.flag_id, enabled=True, source_id=cast.acme.pk, number=state.change_number)
    assert len(written) > 1
    assert {event.state for event in written} == {value}
    assert {event.root_id for event in written} == {cast.acme.pk}
    reached = {one.pk for one in cast.of_acme for event in written if event.after < one.pk <= event.last}
    assert reached == {one.pk for one in cast.of_acme}


def test_a_move_another_key_and_a_deletion_are_sent_with_the_organization(cast: Cast, sent: Sent) -> None:
    cast.oslo.move_to(cast.south)
    assert OrganizationMoved(cast.oslo.pk) in sent()
    Organization.objects.filter(pk=cast.rome.pk).update(key="roma")
    assert sent() == [OrganizationMoved(cast.rome.pk)]
    Organization.objects.filter(pk=cast.rome.pk).update(name="Roma")
    assert sent() == []
    Organization.objects.get(pk=cast.north.pk).delete()
    assert [event for event in sent() if isinstance(event, OrganizationMoved)] == [OrganizationMoved(cast.north.pk)]


def test_where_much_is_deleted_the_whole_tree_is_sent(sent: Sent) -> None:
    for number in range(101):
        Organization.objects.create(name="Root", key=f"root-{number}")
    sent()
    with transaction.atomic():
        locks.lock_all_trees_for_writing()
        Organization.objects.all()._raw_delete("default")
    assert EverythingOf.TREE in sent()


def test_a_changed_and_a_deleted_access_key_are_sent_by_their_prefix(sent: Sent) -> None:
    record, _ = access_keys.create(name="nightly", role=Role.READER)
    assert sent() == []
    access_keys.revoke(prefix=record.prefix)
    assert sent() == [AccessKeyChanged(record.prefix)]
    AccessKey.objects.filter(prefix=record.prefix).delete()
    assert sent() == [AccessKeyChanged(record.prefix)]


@pytest.mark.parametrize(
    ("table", "event"),
    [
        ("flags_flagstate", EverythingOf.TREE),
        ("orgs_accesskey", EverythingOf.KEYS),
        ("flags_flag", EverythingOf.DEFINITIONS),
    ],
)
def test_an_emptied_table_is_sent_once_for_all_rows(sent: Sent, table: str, event: EverythingOf) -> None:
    truncate(table)
    assert event in sent()


def test_an_operator_sends_what_all_processes_are_to_read_again(cast: Cast, sent: Sent) -> None:
    Flag.objects.create(key="checkout")
    sent()
    invalidate(ADMIN, everything=True)
    assert sent() == [EverythingOf.DEFINITIONS, EverythingOf.KEYS, EverythingOf.TREE]
    invalidate(ADMIN, organizations=[cast.oslo.pk])
    assert sent() == [OrganizationMoved(cast.oslo.pk)]
    invalidate(ADMIN, flag_keys=["checkout"])
    assert sent() == [EverythingOf.DEFINITIONS, EverythingOf.TREE]


@given(events)
def test_what_is_encoded_is_decoded(event: CacheEvent) -> None:
    assert decode(encode(event)) == event


@pytest.mark.parametrize(
    ("payload", "event"),
    [
        (
            '{"states": [1, 2, 3, 4, true, 5, 6]}',
            StatesWritten(1, 2, 3, StateValue(4, enabled=True, source_id=5, number=6)),
        ),
        ('{"organization": 7}', OrganizationMoved(7)),
        ('{"key": "4fG6aB"}', AccessKeyChanged("4fG6aB")),
        ('{"definitions": 1}', EverythingOf.DEFINITIONS),
        ('{"keys": 1}', EverythingOf.KEYS),
        ('{"tree": 1}', EverythingOf.TREE),
    ],
)
def test_the_format_is_the_one_that_processes_of_other_versions_read(payload: str, event: CacheEvent) -> None:
    assert encode(event) == payload
    assert decode(payload) == event


def test_a_kind_of_a_later_version_means_that_anything_may_have_changed() -> None:
    assert decode('{"weather": 1}') is EverythingOf.TREE


@pytest.mark.parametrize("payload", ["", "{", "[]", "7", "{}", '{"states": [1, 2]}'])
def test_a_payload_that_makes_no_sense_is_refused(payload: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - also of the JSON decoder
        decode(payload)


def test_each_attribute_that_an_organization_gets_changes_or_loses_is_sent(sent: Sent, cast: Cast) -> None:
    oslo = cast.oslo.pk
    for values in ({"plan": "pro"}, {"plan": "free", "seats": 3}):
        attribute_operations.change(organization_id=oslo, values=values)
        assert set(sent()) == {AttributeChanged(oslo, name) for name in values}
    attribute_operations.change(organization_id=oslo, values={}, remove=["plan"])
    assert sent() == [AttributeChanged(oslo, "plan")]
    truncate("orgs_organizationattribute")
    assert sent() == [EverythingOf.TREE]


def test_a_name_stands_for_many_organizations_whose_attribute_changes_at_once(sent: Sent, cast: Cast) -> None:
    made = [
        OrganizationAttribute(organization_id=cast.oslo.pk, name=f"a{number}", value=number) for number in range(101)
    ]
    OrganizationAttribute.objects.bulk_create(made)
    assert sent() == [EverythingOf.TREE]
    organizations = [
        tree_operations.create(name="x", key=f"x{number}", parent_id=cast.oslo.pk) for number in range(101)
    ]
    sent()
    OrganizationAttribute.objects.bulk_create(
        [OrganizationAttribute(organization_id=one.pk, name="plan", value="pro") for one in organizations]
    )
    assert sent() == [AttributeChanged(0, "plan")]
