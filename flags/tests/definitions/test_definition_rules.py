"""A definition field has the same rules through every channel: the API, the admin site, schedules and direct calls."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError

from conftest import Cast
from flags.definitions import service
from flags.definitions.fields import FIELDS
from flags.definitions.models import Flag
from flags.errors import InvalidDefinition, InvalidSchedule
from flags.schedules import plan
from flags.schedules.due import apply_due
from flags.tests.schedules.plans import OPS
from flagsite.core.db.clock import now
from orgs.tests.api import Api

pytestmark = pytest.mark.django_db
BASE = "/v1/feature-flags/f"
NONSENSE = {
    "enabled": [None, "true", 1, [], {}],
    "killed": [None, "true", 1],
    "archived": [None, "true", 1],
    "rollout_percentage": [-0.001, 100.001, 1.0001, "5", True, 1e300, float("nan"), [], {}],
    "whitelist": [None, "u", {}, [1], [""], [None], ["x" * 256], ["\x00"], ["\ud800"], [str(n) for n in range(10_001)]],
    "targeting_rules": [None, {}, "rule", [1], [{}], [{"clauses": [{"op": "is"}], "serve": {"variant": "on"}}]],
    "default_variant": [1, True, [], {}, "-a", "a b", "a" * 256, "blue", "\x00"],
    "default_rollout": [1, True, [], {}, "blue", {"variant": "on"}, {"rollout": {"on": 100}}, {"rollout": {"on": 50}}],
    "off_variant": [1, True, [], {}, "-a", "a b", "a" * 256, "red", "\ud800"],
    "environments": [
        None, [], "staging", {"staging": 1}, {"": True}, {"my env/!": True}, {"\x00": True}, {"x" * 65: True},
        {f"e{number}": True for number in range(51)},
    ],
}  # fmt: skip
"""For each part that can be scheduled."""


@pytest.fixture
def flag(db: None) -> Flag:
    return service.create(key="f", values={}, by="user:olga")


@pytest.mark.parametrize(("part", "value"), [(part, value) for part, values in NONSENSE.items() for value in values])
def test_what_the_api_refuses_no_other_channel_lets_in(
    admin_key: str, cast: Cast, flag: Flag, part: str, value: Any
) -> None:
    with pytest.raises(InvalidDefinition, match=FIELDS[part].wire_name):
        service.update(key="f", values={part: value}, by="user:olga")
    with pytest.raises(InvalidSchedule, match=FIELDS[part].wire_name):
        plan.plan_once(OPS, plan.ScheduleRequest("f"), wanted={FIELDS[part].wire_name: value}, at=now())
    if value == value:  # noqa: PLR0124 - NaN is no JSON
        assert Api(admin_key).send("PATCH", BASE, {FIELDS[part].wire_name: value}).status_code == 400
    flag.refresh_from_db()
    assert flag.version == 1


def test_every_part_that_can_be_scheduled_is_tried_here() -> None:
    assert set(NONSENSE) == {name for name, spec in FIELDS.items() if spec.is_schedulable}


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("rollout_level", -1), ("rollout_level", 1_001), ("description", "x" * 10_001), ("description", None),
        ("tags", [""]), ("tags", [str(number) for number in range(51)]), ("owner", "x" * 201), ("salt", ""),
        ("kind", "big"), ("rollout_unit", "user"), ("hash_version", 12), ("hash_version", "1"), ("hash_version", []),
        ("description", "\x00"), ("description", "\ud800"),
        ("variants", None), ("variants", "blue"), ("variants", [{"key": "a", "value": 1}]), ("value_schema", []),
        ("value_schema", {"type": "colour"}), ("value_schema", {"type": "boolean"}),
    ],
)  # fmt: skip
def test_the_other_parts_have_their_rules_too(flag: Flag, part: str, value: Any) -> None:
    with pytest.raises(InvalidDefinition):
        service.update(key="f", values={part: value}, by="user:olga")


def test_what_the_database_refuses_for_another_reason_is_not_told_as_a_name_that_is_taken(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise IntegrityError("violates check constraint")

    monkeypatch.setattr(Flag, "save", refused)
    with pytest.raises(IntegrityError, match="check constraint"):
        service.create(key="f", values={}, by="user:olga")


def test_whoever_writes_is_named_as_far_as_there_is_room(flag: Flag) -> None:
    author = "key:" + "x" * 300
    made = service.create(key="made", values={}, by=author)
    assert (made.created_by, made.updated_by) == (author[:200], author[:200])
    assert service.update(key="f", values={"enabled": True}, by=author).updated_by == author[:200]


@pytest.mark.parametrize("values", [{"rollout_unit": "ancestor", "rollout_level": True}, {"hash_version": True}])
def test_a_truth_is_no_number(db: None, values: dict[str, Any]) -> None:
    with pytest.raises(InvalidDefinition):
        service.create(key="f", values=values, by="user:olga")


@pytest.mark.parametrize(
    "values",
    [
        {"rollout_unit": "ancestor", "rollout_level": 1_000},
        {"description": "x" * 10_000},
        {"tags": ["x" * 64]},
        {"tags": [str(number) for number in range(50)]},
        {"whitelist": ["x" * 255]},
        {"whitelist": [str(number) for number in range(10_000)]},
        {"environments": {"x" * 64: True}},
        {"environments": {f"e{number}": True for number in range(50)}},
        {"rollout_percentage": Decimal("0.001")},
        {"rollout_percentage": Decimal("99.999")},
    ],
    ids=" ".join,
)
def test_the_most_that_is_allowed_is_allowed(flag: Flag, values: dict[str, Any]) -> None:
    written = service.update(key="f", values=values, by="user:olga")
    assert {part: getattr(written, part) for part in values} == values


def test_a_definition_that_a_schedule_has_written_can_be_sent_back_as_it_was_read(admin_key: str, flag: Flag) -> None:
    wanted = {
        "enabled": True, "rolloutPercentage": 12.125, "environments": {"my-env": True},
        "userWhitelist": ["a", " b", "a"],
    }  # fmt: skip
    plan.plan_once(OPS, plan.ScheduleRequest("f"), wanted=wanted, at=now())
    apply_due()
    api = Api(admin_key)
    read = api.get(BASE)
    assert (read.json()["version"], read.json()["userWhitelist"]) == (2, ["a", " b"])
    sent_back = api.send("PUT", BASE, read.json())
    assert (sent_back.status_code, sent_back.json()) == (200, read.json())


def test_rules_are_the_same_for_a_new_flag(db: None) -> None:
    with pytest.raises(InvalidDefinition, match=r"environments: A name has 1 to 64 of A-Z"):
        service.create(key="new", values={"environments": {"my env/!": True}}, by="user:olga")
    assert not Flag.objects.exists()
