"""Segments as clients, people and a look into the past meet them."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest
from django.db import connection

from conftest import Cast, _key
from flags.client import asking_for, is_enabled
from flags.definitions import service as definitions
from flags.errors import ChangeNotUndoable
from flags.history.models import FormerSegment
from flags.segments import service
from flags.segments.models import Segment
from flags.serving.definition_set import DefinitionSet
from flags.tests.serving.asking import Asking
from flags.undoing.undo import find
from jobs.notifications import events
from jobs.notifications.models import Event
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of

pytestmark = pytest.mark.django_db
OPS = Caller("command:ops@host", Role.ADMIN)
PRO = {"attribute": "plan", "op": "in", "values": ["pro"]}


def in_segment(*keys: str, **more: Any) -> dict[str, Any]:
    return {"clauses": [{"op": "inSegment", "values": list(keys), **more}]}


@pytest.fixture
def flag(cast: Cast) -> None:
    """A flag for the segment outer, which contains the segment beta."""
    service.create(key="beta", values={"rules": [{"id": "pros", "clauses": [PRO]}], "excluded": ["bob"]}, by="x")
    service.create(key="outer", values={"rules": [in_segment("beta")]}, by="x")
    rule = {"id": "testers", **in_segment("outer"), "serve": {"variant": "on"}}
    definitions.create(key="new-ui", values={"targeting_rules": [rule]}, by="x")


def change(**values: Any) -> int:
    """Change the segment, and return the number of the change, which the audit log tells."""
    service.update(key="beta", values=values, by="user:olga", reason="x")
    return int(AuditEntry.objects.latest("id").details["changeNumber"])


def test_a_user_in_a_nested_segment_gets_the_flag_on_every_way(flag: None, asking: Asking) -> None:
    one = asking.one("new-ui", targetingKey="ann", plan="pro").body
    assert (one["value"], one["metadata"]) == (True, {"rule": "targeting", "ruleId": "testers"})
    assert asking.one("new-ui", targetingKey="bob", plan="pro").body["value"] is False
    (entry,) = asking.all(targetingKey="ann", plan="pro").body["flags"]
    assert entry["value"] is True
    with asking_for(user_id="ann", attributes={"plan": "pro"}):
        assert is_enabled("new-ui", default=None)
    with asking_for(user_id="ann", attributes={"plan": "free"}):
        assert not is_enabled("new-ui", default=None)


def test_the_tag_of_a_bulk_answer_depends_on_what_the_segments_read_and_on_nothing_else(
    flag: None, asking: Asking
) -> None:
    def tag(**context: Any) -> str:
        return asking.all(targetingKey="ann", **context).headers["ETag"]

    assert tag(plan="pro") != tag(plan="free")
    assert tag(plan="pro") == tag(plan="pro", country="DE")
    before = tag(plan="pro")
    change(owner="somebody")
    asking.cache.reload_definitions()
    change(included=["zoe"])
    asking.cache.reload_definitions()
    assert tag(plan="pro") != before


def test_a_process_that_has_read_the_segment_hears_of_its_change(flag: None, asking: Asking) -> None:
    assert asking.one("new-ui", targetingKey="zoe").body["value"] is False
    change(included=["zoe"])
    asking.cache.reload_definitions()
    assert asking.one("new-ui", targetingKey="zoe").body["value"] is True


def test_flags_without_segments_are_read_with_one_query(flag: None, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(2):
        DefinitionSet.load()
    definitions.update(key="new-ui", values={"targeting_rules": []}, by="x")
    with django_assert_num_queries(1):
        DefinitionSet.load()


def test_a_read_without_a_user_says_that_it_depends_on_the_user(flag: None, cast: Cast) -> None:
    reader = Api(_key("reader", Role.READER))

    def read() -> tuple[bool, bool]:
        found = reader.get(f"/{cast.oslo.pk}/new-ui").json()["featureFlag"]
        return found["enabled"], found["dependsOnUser"]

    assert read() == (False, True)
    change(rules=[{"clauses": [{"op": "inSubtree", "values": ["north"]}]}], excluded=[])
    assert read() == (True, False)
    change(rules=[], included=["ann"])
    assert read() == (False, True)


def test_explain_shows_what_the_segments_compared(flag: None, cast: Cast) -> None:
    api = Api(_key("reader", Role.READER))
    question = {"userId": "ann", "organizationId": cast.oslo.pk, "attributes": {"plan": "free"}}
    answer = api.post("/v1/feature-flags/new-ui/explain", question)
    assert answer.status_code == 200, answer.content
    (rule,) = answer.json()["rules"]
    (clause,) = rule["clauses"]
    assert (clause["op"], clause["compared"], clause["matches"]) == ("inSegment", [], False)
    (outer,) = clause["segments"]
    (beta,) = outer["rules"][0]["clauses"][0]["segments"]
    assert (beta["key"], beta["matches"], beta["why"]) == ("beta", False, "No rule of the segment matches.")
    assert beta["rules"][0]["clauses"][0]["compared"] == "free"


def test_the_past_knows_the_segment_as_it_was(flag: None, cast: Cast) -> None:
    api = Api(_key("reader", Role.READER))

    def is_on(at: str | int) -> bool:
        answer = api.get("/v1/feature-flags/new-ui/explain", organizationId=cast.oslo.pk, userId="zoe", at=at)
        assert answer.status_code == 200, answer.content
        return bool(answer.json()["enabled"])

    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        before = f"{cursor.fetchone()[0].astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    included = change(included=["zoe"])
    removed = change(included=[])
    assert [is_on(before), is_on(included), is_on(removed)] == [False, True, False]
    definitions.update(key="new-ui", values={"targeting_rules": []}, by="x")
    service.delete(key="outer", by="x")
    assert is_on(included), "the segment is deleted by now"
    bound = Api(_key("bound", Role.READER, cast.north))
    refused = bound.get(f"/{cast.oslo.pk}/new-ui", at=included)
    assert refused.status_code in {400, 404}


def test_a_change_of_a_segment_is_undone(flag: None) -> None:
    number = change(included=["zoe"], owner="shop")
    change(owner="checkout")
    changed = find(OPS, number)
    assert changed.in_words == "changed the segment beta: included, owner"
    plan = changed.plan()
    assert (plan.restored, list(plan.left_alone.fields), plan.changed > 0) == (1, ["owner"], True)
    undone = changed.undo(reason="a mistake")
    segment = Segment.objects.get(key="beta")
    assert (segment.included, segment.owner, undone.restored) == ([], "checkout", 1)
    entry = AuditEntry.objects.get(action="segment.undo")
    assert (entry.details["undone"], entry.details["flags"], entry.reason) == (number, ["new-ui"], "a mistake")
    with pytest.raises(ChangeNotUndoable):
        find(OPS, number).undo()
    assert undone.number is not None
    find(OPS, undone.number).undo()
    assert Segment.objects.get(key="beta").included == ["zoe"]


def test_the_api_plans_and_makes_the_undo_of_a_segment(flag: None, cast: Cast) -> None:
    api = Api(_key("editor", Role.EDITOR))
    number = change(included=["zoe"])
    plan = api.post(f"/v1/changes/{number}/undo/plan", {}).json()
    assert (plan["kind"], plan["segment"], plan["featureFlag"], plan["organizationId"]) == (
        "segment", "beta", None, None,
    )  # fmt: skip
    done = api.post(f"/v1/changes/{number}/undo", {"planHash": plan["planHash"]})
    assert (done.status_code, done.json()["restored"]) == (200, 1), done.content
    bound = Api(_key("bound", Role.ADMIN, cast.north))
    assert kind_of(bound.post(f"/v1/changes/{number}/undo", {})) == "change-not-found"


def test_each_change_keeps_the_segment_as_it_was(flag: None) -> None:
    change(included=["zoe"])
    service.update(key="beta", values={"included": ["zoe"]}, by="x")
    (former,) = FormerSegment.objects.all()
    assert (former.version, former.content["included"], former.content["key"]) == (1, [], "beta")


def test_a_flag_that_uses_the_segment_is_told_of(flag: None, cast: Cast) -> None:
    events.remember({"flag.changed"}, seconds=60)
    try:
        change(included=["zoe"])
        change(owner="shop")
    finally:
        events.forget()
    (event,) = Event.objects.all()
    assert (event.subject, event.details["segment"]) == ("flag:new-ui", "beta")
    assert "which the rules of the flag new-ui ask for" in event.text
    assert "beta" not in event.text_below
