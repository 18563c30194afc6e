"""The editor of a segment: whether a context is in a segment that is not saved yet, and why."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import Client

from conftest import Cast
from flags.segments import service
from flags.segments.models import Segment
from orgs.attributes.models import OrganizationAttribute
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
LIST = "/admin/flags/segment/"
PROS = {"id": "pros", "clauses": [{"attribute": "plan", "op": "in", "values": ["pro"]}]}


@pytest.fixture
def operator() -> Client:
    return signed_in("operator")


def tried(client: Client, segment: Segment | None, rules: Any, **values: str) -> str:
    """The text of the trial of a form with these rules."""
    address = f"{LIST}{segment.pk}/try-unsaved/" if segment else f"{LIST}try-unsaved/"
    form = {"key": "new", "description": "", "rules": json.dumps(rules), "reason": ""}
    page = shown(client.post(address, form | ({"based_on": segment.revision} if segment else {}) | values))
    return " ".join(re.sub(r"<[^>]*>", "", page).replace("&#x27;", "'").replace("&quot;", '"').split())


def test_a_trial_says_which_rule_and_clause_lets_somebody_in_and_saves_nothing(operator: Client) -> None:
    segment = service.create(key="beta", by="user:olga", values={})
    said = tried(operator, segment, [PROS], **{"try-attributes": '{"plan": "pro"}'})
    assert "This context is in the segment. The rule 'pros' of the segment matches." in said
    assert 'plan is "pro": yes, it is "pro".' in said
    assert "This context is not in the segment. No rule of the segment matches." in tried(operator, segment, [PROS])
    assert Segment.objects.get().rules == []


def test_the_lists_of_keys_decide_before_the_rules(operator: Client) -> None:
    lists = {"included": "ann", "excluded": "bob", "try-attributes": '{"plan": "pro"}'}
    said = tried(operator, None, [PROS], **lists, **{"try-user": "ann"})
    assert "in the segment. The targeting key is one of the included keys." in said
    said = tried(operator, None, [PROS], **lists, **{"try-user": "bob"})
    assert "not in the segment. The targeting key is one of the excluded keys." in said
    assert not Segment.objects.exists()


def test_a_trial_knows_other_segments_and_the_attributes_of_the_organization(operator: Client, cast: Cast) -> None:
    own = {"rules": [{"clauses": [{"attribute": "org.plan", "op": "in", "values": ["pro"]}]}]}
    service.create(key="pro", by="user:olga", values=own)
    OrganizationAttribute.objects.create(organization=cast.north, name="plan", value="pro")
    asks = [{"clauses": [{"op": "inSegment", "values": ["pro"]}]}]
    assert "is in the segment" in tried(operator, None, asks, **{"try-organization": "oslo"})
    said = tried(operator, None, asks, **{"try-organization": "rome"})
    assert 'the user is in the segment "pro": no. pro: No rule of the segment matches.' in said


def test_a_trial_names_what_is_wrong_with_the_form(operator: Client) -> None:
    assert "Rules: Rule 1:" in tried(operator, None, [{"id": "a"}])
    segment = service.create(key="beta", by="user:olga", values={})
    circle = [{"clauses": [{"op": "inSegment", "values": ["beta"]}]}]
    assert "A segment cannot contain itself" in tried(operator, segment, circle)


def test_a_segment_is_not_offered_to_itself_and_who_looks_edits_nothing(operator: Client) -> None:
    segment = service.create(key="beta", by="user:olga", values={})
    service.create(key="staff", by="user:olga", values={"description": "Who works here."})
    page = shown(operator.get(f"{LIST}{segment.pk}/change/")).replace("&quot;", '"')
    assert '"segments": [["staff", "Who works here."]]' in page
    viewer = signed_in("viewer", name="vic")
    assert "segment-editor" not in shown(viewer.get(f"{LIST}{segment.pk}/change/"))
    assert viewer.post(f"{LIST}{segment.pk}/try-unsaved/", {}).status_code == 403
