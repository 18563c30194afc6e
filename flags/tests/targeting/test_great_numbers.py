"""Floats of clauses that PostgreSQL writes as whole numbers: they stay what they are on every way."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conftest import Cast
from flags.client import is_enabled
from flags.history.models import FormerDefinition, FormerSegment
from flags.schedules.due import DueResult, apply_due
from flags.schedules.plan import ScheduleRequest, plan_once
from flags.tests.schedules.plans import OPS, let_come
from flags.tests.serving.asking import Asking
from flags.values.stored_json import StoredJson, restored
from flagsite.core.db.clock import now
from orgs.tests.api import Api

pytestmark = pytest.mark.django_db
GREAT = 1e23
"""Python's int of the same digits is another number."""
CLAUSES = [{"attribute": "n", "op": "in", "values": [GREAT]}]
BASE = "/v1/feature-flags/great"
SEGMENT = "/v1/segments/great"


@pytest.fixture
def api(admin_key: str, cast: Cast) -> Api:
    """A client of two flags: one has the rule itself, one asks for a segment that has it."""
    api = Api(admin_key)
    rule = {"id": "r", "clauses": CLAUSES, "serve": {"variant": "on"}}
    assert api.post("/v1/feature-flags", {"name": "great", "rules": [rule]}).status_code == 201
    assert api.post("/v1/segments", {"key": "great", "rules": [{"id": "r", "clauses": CLAUSES}]}).status_code == 201
    by_segment = {"id": "s", "clauses": [{"op": "inSegment", "values": ["great"]}], "serve": {"variant": "on"}}
    assert api.post("/v1/feature-flags", {"name": "by-segment", "rules": [by_segment]}).status_code == 201
    return api


@pytest.mark.parametrize("key", ["great", "by-segment"])
def test_a_great_float_matches_itself(api: Api, asking: Asking, key: str) -> None:
    assert asking.one(key, n=GREAT).body["value"] is True
    assert asking.one(key, n=9e22).body["value"] is False
    assert is_enabled(key, attributes={"n": GREAT})
    for body in (b'{"attributes": {"n": 1e23}}', b'{"attributes": {"n": 100000000000000000000000}}'):
        assert api.post(f"/v1/feature-flags/{key}/check", body).json()["enabled"] is True


@pytest.mark.parametrize("path", [BASE, SEGMENT])
def test_the_same_rules_are_no_change(api: Api, path: str) -> None:
    shown = api.get(path).json()
    assert shown["rules"][0]["clauses"] == CLAUSES
    assert api.patch(path, {"rules": shown["rules"]}).json()["version"] == shown["version"]


@pytest.mark.parametrize(
    ("path", "former", "key"), [(BASE, FormerDefinition, "great"), (SEGMENT, FormerSegment, "by-segment")]
)
def test_the_past_and_an_undo_have_it_too(api: Api, path: str, former: Any, key: str) -> None:
    numbers: list[int] = []
    changes: list[dict[str, Any]] = [{"description": "x"}, {"rules": []}]
    for change in changes:
        assert api.patch(path, change).status_code == 200
        numbers.append(former.objects.latest("replaced_by").replaced_by)
    asked = {"at": str(numbers[0]), "attributes": {"n": GREAT}}
    assert api.post(f"/v1/feature-flags/{key}/explain", asked).json()["enabled"] is True
    undone = api.post(f"/v1/changes/{numbers[1]}/undo")
    assert undone.status_code in {200, 202}, undone.content
    assert api.get(path).json()["rules"][0]["clauses"] == CLAUSES


def test_a_scheduled_change_of_rules_has_it_too(api: Api) -> None:
    rules = api.get(BASE).json()["rules"]
    api.patch(BASE, {"rules": []})
    schedule = plan_once(OPS, ScheduleRequest("great"), wanted={"rules": rules}, at=now())
    let_come(schedule.pk)
    assert apply_due() == DueResult(applied=1)
    assert api.get(BASE).json()["rules"] == rules


def test_a_number_that_no_float_is_stays_as_it_is() -> None:
    """Definitions of former versions may have it. It must not fail the others."""
    text = "1" + "0" * 400
    assert json.loads(text, cls=StoredJson) == restored(10**400) == 10**400
