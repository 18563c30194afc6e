"""The commands that create, change, find and delete segments do what the API does."""

from __future__ import annotations

import pytest

from conftest import Cast
from flags.definitions import service as definitions
from flags.segments.models import Segment
from orgs.audit.models import AuditEntry
from orgs.tests.commands import OLGA, run

pytestmark = pytest.mark.django_db
RULES = '[{"id": "pros", "clauses": [{"attribute": "plan", "op": "in", "values": ["pro"]}]}]'


def latest() -> tuple[str, str, str, str, str]:
    entry = AuditEntry.objects.latest("id")
    return entry.action, entry.subject, entry.actor, entry.via, entry.reason


def test_a_segment_is_created_changed_and_deleted() -> None:
    document = run("define_segment", "beta", f"rules={RULES}", "owner=shop", "--reason", "new", "--json").document
    assert (document["key"], document["owner"], document["rules"][0]["id"]) == ("beta", "shop", "pros")
    assert latest() == ("segment.create", "segment:beta", OLGA, "command", "new")
    changed = run("change_segment", "beta", 'included=["ann"]', "--reason", "more")
    assert changed.out == "beta is changed, version 2.\n"
    assert latest() == ("segment.update", "segment:beta", OLGA, "command", "more")
    assert "has these values already" in run("change_segment", "beta", 'included=["ann"]').out
    assert run("delete_segment", "beta", "--reason", "old").out == "beta is deleted.\n"
    assert latest() == ("segment.delete", "segment:beta", OLGA, "command", "old")


def test_a_plan_names_the_flags_and_writes_nothing(cast: Cast) -> None:
    run("define_segment", "beta")
    rule = {"clauses": [{"op": "inSegment", "values": ["beta"]}], "serve": {"variant": "on"}}
    definitions.create(key="new-ui", values={"targeting_rules": [rule]}, by="x")
    definitions.create(key="needs-it", values={"prerequisites": ["new-ui"]}, by="x")
    said = run("change_segment", "beta", 'included=["ann"]', "--plan").out
    assert 'included: [] → ["ann"]' in said
    assert "The change is one of 1 flag: new-ui." in said
    assert "Users of at most" in said
    assert "1 targeting key more on the lists, and 0 less." in said
    assert "Flags that need one of these flags: needs-it." in said
    assert "Nothing was written." in said
    assert Segment.objects.get().included == []
    assert "The answers of no flag change." in run("change_segment", "beta", "owner=shop", "--plan").out
    assert "has these values already" in run("change_segment", "beta", "owner=", "--plan").out
    refused = run("delete_segment", "beta")
    assert refused.status == 1
    assert "the flag new-ui" in refused.error


def test_segments_are_found_and_shown_with_what_uses_them() -> None:
    run("define_segment", "beta", f"rules={RULES}", "owner=shop", "description=Early birds")
    run("define_segment", "outer", 'rules=[{"clauses": [{"op": "inSegment", "values": ["beta"]}]}]')
    rule = {"clauses": [{"op": "inSegment", "values": ["outer"]}], "serve": {"variant": "on"}}
    definitions.create(key="new-ui", values={"targeting_rules": [rule]}, by="x")
    listed = run("segments", "--owner", "shop").out
    assert "beta" in listed
    assert "outer" not in listed
    assert run("segments", "--search", "nothing").out == "No segment matches.\n"
    assert "There are more than 1." in run("segments", "--limit", "1").out
    named = run("segments", "beta").out
    assert 'pros: plan is "pro"' in named
    assert "used by the flag new-ui through outer" in named
    assert "used by the segment outer" in named
    (document,) = run("segments", "beta", "--json").document["results"]
    assert document["uses"]["segments"] == [{"key": "outer", "through": []}]
    assert 'the user is in the segment "beta"' in run("segments", "outer").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("define_segment", "two words"), "1 to 100"),
        (("define_segment", "x", "rules=3"), "Not a list"),
        (("change_segment", "gone", "owner=x"), "There is no segment 'gone'."),
        (("change_segment", "gone"), "Nothing to change"),
        (("change_segment", "gone", "key=x"), "cannot be changed"),
        (("segments", "gone"), "There is no segment 'gone'."),
        (("delete_segment", "gone"), "There is no segment 'gone'."),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_sentence(arguments: tuple[str, ...], message: str) -> None:
    refused = run(*arguments)
    assert refused.status != 0
    assert message in refused.error
