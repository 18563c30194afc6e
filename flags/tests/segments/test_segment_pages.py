"""Creating, changing and deleting segments in the admin site."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from conftest import Cast
from flags.definitions import service as definitions
from flags.segments import service
from flags.segments.models import Segment
from orgs.audit.models import AuditEntry
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
LIST = "/admin/flags/segment/"
RULES = '[{"clauses": [{"attribute": "plan", "op": "in", "values": ["pro"]}]}]'
FILLED_IN = {
    "description": "Early birds.", "rules": RULES, "included": "ann\r\n\r\nzoe\r\n", "excluded": "", "owner": "team a",
    "tags": "a, b", "reason": "pilot",
}  # fmt: skip


@pytest.fixture
def operator() -> Client:
    return signed_in("operator")


@pytest.fixture
def segment(db: None) -> Segment:
    return service.create(key="beta", values={"included": ["somebody"]}, by="user:olga")


@pytest.fixture
def used(segment: Segment) -> Segment:
    """The same, which a segment and by way of it a flag use."""
    service.create(key="outer", values={"rules": [{"clauses": [{"op": "inSegment", "values": ["beta"]}]}]}, by="x")
    rule = {"clauses": [{"op": "inSegment", "values": ["outer"]}], "serve": {"variant": "on"}}
    definitions.create(key="new-ui", values={"targeting_rules": [rule]}, by="x")
    return segment


def form_of(segment: Segment) -> str:
    return f"{LIST}{segment.pk}/change/"


def latest() -> AuditEntry:
    return AuditEntry.objects.latest("id")


def inputs_of(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page)
    return {name: value.replace("&quot;", '"') for name, value in found}


def test_an_operator_creates_a_segment_and_says_why(operator: Client) -> None:
    shown(operator.get(f"{LIST}add/"))
    answer = operator.post(f"{LIST}add/", FILLED_IN | {"key": "beta"})
    made = Segment.objects.get()
    assert (answer.status_code, made.created_by, made.included, made.tags) == (
        302, "user:pat", ["ann", "zoe"], ["a", "b"],
    )  # fmt: skip
    assert made.rules[0]["id"] == "rule-1"
    assert (latest().action, latest().reason, latest().via) == ("segment.create", "pilot", "admin")
    page = shown(operator.get(LIST))
    assert "Early birds." in page
    assert form_of(made) in page


def test_the_form_shows_what_uses_the_segment(operator: Client, used: Segment) -> None:
    page = shown(operator.get(form_of(used)))
    uses = page[page.index('id="uses"') :]
    assert "new-ui</a> through outer" in uses
    assert "outer</a>" in uses
    assert "Delete it" not in uses


def test_the_plan_is_shown_before_the_change_is_saved(operator: Client, used: Segment) -> None:
    sent = FILLED_IN | {"based_on": used.revision, "_review": "1"}
    page = shown(operator.post(f"{LIST}{used.pk}/review/", sent))
    assert "The change is one of 1 flag: new-ui." in page
    assert Segment.objects.get(pk=used.pk).version == 1
    answer = operator.post(form_of(used), inputs_of(page) | {"_save": "1"})
    used.refresh_from_db()
    assert (answer.status_code, used.version, used.included) == (302, 2, ["ann", "zoe"])
    assert (latest().action, latest().details["flags"], latest().reason) == ("segment.update", ["new-ui"], "pilot")


def test_a_change_that_nobody_has_planned_like_this_is_refused(operator: Client, used: Segment) -> None:
    sent = FILLED_IN | {"based_on": used.revision, "plan_hash": "1-x"}
    assert "The plan is out of date." in shown(operator.post(form_of(used), sent, follow=True))
    assert Segment.objects.get(pk=used.pk).version == 1


def test_who_looked_at_an_older_version_is_told_and_nothing_is_lost(operator: Client, segment: Segment) -> None:
    service.update(key="beta", values={"owner": "somebody else"}, by="user:olga")
    page = shown(operator.post(form_of(segment), FILLED_IN | {"based_on": segment.revision}))
    assert "Somebody has changed the segment since you opened this page." in page
    assert Segment.objects.get().owner == "somebody else"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rules": "{"}, "This is not JSON."),
        ({"rules": '[{"clauses": []}]'}, "It needs a list `clauses`"),
        ({"rules": '[{"clauses": [{"op": "inSegment", "values": ["gone"]}]}]'}, "There is no segment &#x27;gone&#x27;"),
        ({"rules": '[{"clauses": [{"op": "inSegment", "values": ["beta"]}]}]'}, "cannot contain itself"),
        ({"tags": "x" * 65}, "Every entry must be a text of 1 to 64 characters."),
    ],
)
def test_what_is_wrong_is_shown_beside_its_field(
    operator: Client, segment: Segment, wrong: dict[str, Any], message: str
) -> None:
    page = shown(operator.post(form_of(segment), FILLED_IN | {"based_on": segment.revision} | wrong))
    assert message in page
    assert Segment.objects.get().version == 1


def test_an_unused_segment_is_deleted_with_a_reason(operator: Client, segment: Segment) -> None:
    assert "Delete it" in shown(operator.get(form_of(segment)))
    page = f"{LIST}{segment.pk}/remove/"
    answer = operator.post(page, inputs_of(shown(operator.get(page))) | {"reason": "old"})
    assert (answer.status_code, Segment.objects.exists()) == (302, False)
    assert (latest().action, latest().reason) == ("segment.delete", "old")


def test_a_used_segment_is_not_deleted_and_the_page_says_where_it_is_used(operator: Client, used: Segment) -> None:
    page = f"{LIST}{used.pk}/remove/"
    refused = shown(operator.post(page, {"reason": "old", "based_on": used.revision}))
    assert "Rules of the segment outer ask for the segment beta." in refused
    assert Segment.objects.filter(key="beta").exists()


def test_who_may_not_define_flags_only_reads_and_a_person_with_a_scope_sees_nothing(
    used: Segment, cast: Cast, settings: Any
) -> None:
    viewer = signed_in("viewer", name="vic")
    page = shown(viewer.get(form_of(used)))
    assert "_save" not in page
    assert viewer.get(f"{LIST}{used.pk}/review/").status_code == 403
    outer = Segment.objects.get(key="outer")
    assert "rule-1: the user is in the segment &quot;beta&quot;" in shown(viewer.get(form_of(outer)))
    assert signed_in("admin", bound_to=cast.north, name="bo").get(LIST).status_code == 403
    settings.FLAGS_DEFINED_BY = "admin"
    assert signed_in("operator").get(f"{LIST}add/").status_code == 403


def test_a_change_is_undone_from_the_audit_log(operator: Client, used: Segment) -> None:
    service.update(key="beta", values={"included": []}, by="user:olga")
    entry = latest()
    number = entry.details["changeNumber"]
    page = shown(operator.get(f"/admin/flags/flag/undo/{number}/"))
    assert f"Undo change {number} of beta" in page
    assert "The change is one of 1 flag: new-ui." in page
    done = operator.post(f"/admin/flags/flag/undo/{number}/", {"reason": "a mistake"})
    assert (done.status_code, done["Location"]) == (302, form_of(used))
    assert Segment.objects.get(key="beta").included == ["somebody"]


def test_try_out_shows_what_the_segments_compared(operator: Client, used: Segment, cast: Cast) -> None:
    service.update(key="beta", values={"rules": [{"id": "pros", "clauses": [
        {"attribute": "plan", "op": "in", "values": ["pro"]}]}]}, by="x")  # fmt: skip
    flag = definitions.flag_called("new-ui")
    page = shown(operator.post(
        f"/admin/flags/flag/{flag.pk}/evaluate/", {"user": "ann", "attributes": '{"plan": "free"}', "environment": ""}
    ))  # fmt: skip
    assert "outer: No rule of the segment matches." in page
    assert "beta: No rule of the segment matches." in page
    assert "The attribute &#x27;plan&#x27; is &quot;free&quot;: in [&quot;pro&quot;] does not match." in page
