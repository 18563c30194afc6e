"""The published cases, against the pure function and over OFREP; and the published buckets."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from flags.definitions import loader
from flags.definitions.models import Flag
from flags.errors import TargetingKeyMissing
from flags.evaluation import context_loader
from flags.evaluation.engine import NO_ORGANIZATION_CONTEXT, Definition, EvaluationContext, evaluate
from flags.evaluation.reasons import Unit
from flags.evaluation.rollout import bucketing, threshold
from flags.states.set_flag import set_flag
from flags.tests.serving.asking import Asking
from jobs.engine import runner
from orgs.tree.models import Organization

SUITES = json.loads((Path(__file__).parent / "conformance" / "cases.json").read_text())["suites"]
FIELDS = {
    "name": "key",
    "userWhitelist": "whitelist",
    "rolloutPercentage": "rollout_percentage",
    "rolloutUnit": "rollout_unit",
    "rolloutLevel": "rollout_level",
}


def murmur3(content: bytes) -> int:
    """MurmurHash3 x86 32 as its author wrote it down, so that the vectors do not rest on one library."""
    state, whole = 0, len(content) // 4 * 4
    for place in range(0, whole, 4):
        block = int.from_bytes(content[place : place + 4], "little") * 0xCC9E2D51 & 0xFFFFFFFF
        block = (block << 15 | block >> 17) * 0x1B873593 & 0xFFFFFFFF
        state ^= block
        state = ((state << 13 | state >> 19) & 0xFFFFFFFF) * 5 + 0xE6546B64 & 0xFFFFFFFF
    if tail := int.from_bytes(content[whole:], "little"):
        tail = tail * 0xCC9E2D51 & 0xFFFFFFFF
        state ^= ((tail << 15 | tail >> 17) & 0xFFFFFFFF) * 0x1B873593 & 0xFFFFFFFF
    state ^= len(content)
    state = (state ^ state >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    state = (state ^ state >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return state ^ state >> 16


def test_the_published_buckets_are_ours_and_those_of_the_formula() -> None:
    published = json.loads((settings.BASE_DIR / "docs" / "rollout-vectors.json").read_text())
    assert len(published["vectors"]) > 20
    for vector in published["vectors"]:
        whole = f"{vector['salt']}:{vector['flag']}:{vector['unit']}".encode()
        assert murmur3(whole) * published["buckets"] // 2**32 == vector["bucket"]
        assert bucketing(vector["salt"], vector["flag"]).bucket(vector["unit"].encode()) == vector["bucket"]


def test_the_example_on_the_page_of_definitions_is_right() -> None:
    page = " ".join((settings.BASE_DIR / "docs" / "definitions.md").read_text().split())
    example = re.search(
        r"`(\S+)` has the hash (\d+) and the bucket (\d+). With ([\d.]+) %, the unit is not in the rollout. "
        r"With ([\d.]+) %, the unit is in the rollout",
        page,
    )
    assert example
    text, *numbers = example.groups()
    salt, flag, unit = text.split(":")
    assert murmur3(text.encode()) == int(numbers[0])
    assert bucketing(salt, flag).bucket(unit.encode()) == int(numbers[1])
    out, within = (threshold(Decimal(percentage)) for percentage in numbers[2:])
    assert out == int(numbers[1]) == within - 1


@pytest.mark.parametrize("unit", Unit)
@pytest.mark.parametrize(("percentage", "enabled"), [("0", False), ("100", True), (None, True)])
def test_nobody_has_to_be_named_where_all_or_none_are_in(unit: Unit, percentage: str | None, enabled: bool) -> None:
    limit = threshold(None if percentage is None else Decimal(percentage))
    flag = Definition(1, "f", enabled=True, threshold=limit, unit=unit, level=1)
    assert evaluate(flag, NO_ORGANIZATION_CONTEXT, EvaluationContext(), {}).enabled is enabled


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite["name"])
def test_every_published_case_comes_out_as_published(suite: dict[str, Any], asking: Asking) -> None:
    organizations = plant(suite)
    flags = loader.load_definitions()
    for case in suite["cases"]:
        named = case["organization"]
        place = context_loader.load_context(organizations[named].pk) if named else NO_ORGANIZATION_CONTEXT
        source = organizations[case["source"]].pk if "source" in case else None
        context = EvaluationContext(case["context"].get("targetingKey") or None, case["context"].get("environment"))
        answer = asking.one(case["flag"], organizationKey=named, **case["context"])
        if "error" in case:
            assert answer.body["errorCode"] == case["error"], case
            if case["error"] == "TARGETING_KEY_MISSING":
                with pytest.raises(TargetingKeyMissing):
                    evaluate(flags[case["flag"]], place, context, flags)
            continue
        decision = evaluate(flags[case["flag"]], place, context, flags)
        assert (decision.enabled, decision.reason, decision.rule) == (case["value"], case["reason"], case["rule"]), case
        assert (answer.body["value"], answer.body["reason"]) == (case["value"], case["reason"]), case
        assert answer.body["metadata"]["rule"] == case["rule"], case
        assert answer.body["metadata"].get("sourceOrganizationId") == source, case
        if source is not None:
            assert decision.state is not None
            assert decision.state.source_id == source


def plant(suite: dict[str, Any]) -> dict[str, Organization]:
    """Make the suite's tree, flags and changes."""
    organizations: dict[str, Organization] = {}
    for row in suite["tree"]:
        parent = organizations.get(row["parent"])
        organizations[row["key"]] = Organization.objects.create(key=row["key"], name=row["key"], parent=parent)
    for row in suite["flags"]:
        later = {"prerequisites", "archived"}  # an archived flag cannot be set any more
        fields = {FIELDS.get(name, name): value for name, value in row.items() if name not in later}
        Flag.objects.create(**fields)
    for row in suite["flags"]:
        needed = Flag.objects.filter(key__in=row.get("prerequisites", []))
        Flag.objects.get(key=row["name"]).prerequisites.set(needed)
    for row in suite["changes"]:
        target = organizations[row["organization"]]
        set_flag(organization_id=target.pk, flag_key=row["flag"], enabled=row["enabled"])
    while runner.run_next("propagation") is not None:
        pass
    Flag.objects.filter(key__in=[row["name"] for row in suite["flags"] if row.get("archived")]).update(archived=True)
    return organizations
