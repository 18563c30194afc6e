"""Random deeds on a small tree, and the answers of each moment, to compare with what history tells of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from django.db import connection, transaction

from flags.definitions import service
from flags.evaluation import explain
from flags.evaluation.engine import EvaluationContext
from flags.history.moments import Moment
from flags.history.past_explanation import explain_then
from flags.history.past_settings import past_path
from flags.history.past_states import past_states
from flags.states.exemptions import end_exemption_on, exempt_on
from flags.states.selectors import EffectiveState, effective_among
from flags.states.set_flag import find_and_hold, reset_flag, set_flag
from flags.states.setting_rules import Below
from flags.undoing import undo
from flagsite.core.errors import FlagsiteError
from jobs.engine import runner
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.tree import tree_operations
from orgs.tree.models import Organization
from orgs.tree.move_options import MoveOptions

EVERYBODY = Caller("tests", Role.ADMIN)
FLAGS = ("checkout", "basket")
USER = EvaluationContext("user-1", "staging")
DEEDS = (
    "keep", "keep", "overwrite", "lock", "here", "reset", "reset subtree", "exempt", "no longer exempt",
    "move", "move and keep", "rename", "create", "delete", "define", "undo", "undo",
)  # fmt: skip
RULE = {
    "id": "first-user",
    "clauses": [{"attribute": "targetingKey", "op": "in", "values": ["user-1"]}],
    "serve": {"variant": "off"},
}
Answers = dict[int, dict[int, tuple[Any, ...]]]
"""By organization and flag: value, stored value, source, rule and words, and the steps of an evaluation."""


@dataclass(slots=True)
class Past:
    """What was answered at each moment, in their order."""

    answers: list[tuple[Moment, Answers]] = field(default_factory=list)


def live(seed: int, deeds: int) -> Past:
    """Make a tree of six organizations, do random deeds, and record the answers after each of them."""
    chance = random.Random(seed)
    ids: list[int] = []
    for each in range(6):
        parent_id = chance.choice(ids) if ids else None
        ids.append(tree_operations.create(name=f"{each}", key=f"o{each}", parent_id=parent_id).pk)
    for key in FLAGS:
        service.create(key=key, values={}, by="tests")
    past = Past()
    for number in range(deeds):
        before = _last_number()
        with suppress(FlagsiteError), transaction.atomic():
            is_change = _do(chance.choice(DEEDS), chance, number)
            while runner.run_next("propagation"):
                pass
            past.answers.append((_moment(before if is_change else None), answers_now()))
    return past


def answers_now() -> Answers:
    """The answers of now, for all organizations."""
    found: Answers = {}
    for organization in Organization.objects.all():
        flags = effective_among(organization, _flag_ids().values())
        steps = {
            key: explain.check(key=key, organization_id=organization.pk, context=USER).decision.steps for key in FLAGS
        }
        found[organization.pk] = {state.flag_id: (*_told(state), steps[state.flag_key]) for state in flags.values()}
    return found


def answers_then(organization_id: int, moment: Moment) -> dict[int, tuple[Any, ...]]:
    """What history tells of an organization. Raises OrganizationNotFound."""
    states = past_states(past_path(EVERYBODY, organization_id, moment), list(_flag_ids().values()))
    found = {}
    for state in states:
        told = explain_then(
            EVERYBODY, key=state.flag_key, organization_id=organization_id, context=USER, moment=moment
        ).checked.decision
        assert told.steps, state
        found[state.flag_id] = (*_told(state), told.steps)
    return found


def _told(state: EffectiveState) -> tuple[Any, ...]:
    return (
        state.enabled, state.stored_value, state.source_organization_id, state.value.rule, state.value.detail,
        state.value.depends_on_user,
    )  # fmt: skip


def _do(deed: str, chance: random.Random, step: int) -> bool:
    """Do a deed. Returns whether it was a change with a number."""
    ids = list(Organization.objects.order_by("id").values_list("pk", flat=True))
    if not ids:  # all were deleted
        ids = [tree_operations.create(name="root", key=f"root-{step}").pk]
    organization_id, other_id = chance.choice(ids), chance.choice(ids)
    change: dict[str, Any] = {"organization_id": organization_id, "flag_key": chance.choice(FLAGS)}
    deeds: dict[str, Callable[[], Any]] = {
        "reset": lambda: reset_flag(**change),
        "reset subtree": lambda: reset_flag(**change, subtree=True),
        "exempt": lambda: _exempt(**change, is_exempt=True),
        "no longer exempt": lambda: _exempt(**change, is_exempt=False),
        "move": lambda: tree_operations.move(organization_id=organization_id, parent_id=other_id),
        "move and keep": lambda: tree_operations.move(
            organization_id=organization_id, parent_id=other_id, options=MoveOptions(keeps_values=True)
        ),
        "undo": lambda: undo.find(EVERYBODY, chance.randrange(1, _last_number() + 2)).undo(),
        "rename": lambda: tree_operations.rename(organization_id=organization_id, name=f"renamed {step}"),
        "create": lambda: tree_operations.create(name=f"{step}", key=f"new-{step}", parent_id=organization_id) and None,
        "delete": lambda: tree_operations.delete(organization_id=organization_id, subtree=True) if len(ids) > 4 else 0,
        "define": lambda: _define(change["flag_key"], chance),
    }
    if deed in deeds:
        return deeds[deed]() not in (None, 0)
    below = {"keep": Below.KEEP, "overwrite": Below.OVERWRITE, "lock": Below.LOCK, "here": Below.KEEP}[deed]
    set_flag(**change, enabled=chance.random() < 0.5, below=below, only_here=deed == "here")
    return True


def _exempt(*, organization_id: int, flag_key: str, is_exempt: bool) -> Any:
    with find_and_hold(organization_id) as organization:
        if is_exempt:
            return exempt_on(organization, flag_key=flag_key, may_lift=lambda _: True)
        return end_exemption_on(organization, flag_key=flag_key)


def _define(key: str, chance: random.Random) -> Any:
    other = FLAGS[1 - FLAGS.index(key)]
    values = chance.choice([
        {"enabled": chance.random() < 0.5},
        {"killed": chance.random() < 0.5},
        {"environments": {"staging": True} if chance.random() < 0.5 else {}},
        {"whitelist": ["user-1"] if chance.random() < 0.5 else []},
        {"prerequisites": [other] if chance.random() < 0.5 else []},
        {"targeting_rules": [RULE] if chance.random() < 0.5 else []},
        {"rollout_percentage": chance.choice([None, 0, 33, 66]), "rollout_unit": "organization"},
    ])  # fmt: skip
    before = service.flag_called(key).version
    return service.update(key=key, values=values, by="tests").version != before


def _flag_ids() -> dict[str, int]:
    return {key: service.flag_called(key).pk for key in FLAGS}


def _last_number() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM flags_change_number")
        return int(cursor.fetchone()[0])


def _moment(before: int | None) -> Moment:
    """The moment of now, with the number of the change that was made since the number `before`, if there was one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        at = cursor.fetchone()[0].astimezone(UTC)
    number = _last_number()
    return Moment(at, number if before is not None and number > before else None)
