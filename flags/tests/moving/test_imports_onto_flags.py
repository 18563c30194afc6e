"""An import onto flags that exist: what the product decides counts anew, and a type never changes."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from conftest import _key
from flags.definitions import service
from flags.definitions.fields import FIELDS
from flags.definitions.models import Flag
from flags.moving import flag_file
from flags.tests.moving.importing import read
from orgs.access.models import Role
from orgs.tests.api import Api
from orgs.tests.commands import run

FOLDER = Path(__file__).parent
SOURCES = ["unleash", "flagd", "launchdarkly", "growthbook", "flagsmith"]
IMPORTS = "/v1/flag-imports"
OF_FLAGSITE = {"available_to_clients", "whitelist", "environments"}
"""What evaluation reads and no product has, so that an import leaves it as it is."""
OF_ROLLOUTS = {"salt", "hash_version"}
"""What stays where nothing of an imported flag counts by it."""


def project(source: str) -> Any:
    return json.loads((FOLDER / f"{source}.json").read_text())


def of_launchdarkly(variations: list[Any], **flag: Any) -> dict[str, Any]:
    return {"on": True, "variations": variations, "offVariation": 1, "fallthrough": {"variation": 0}, "salt": "s",
            **flag}  # fmt: skip


@pytest.mark.parametrize("source", SOURCES)
def test_an_import_decides_whatever_evaluation_reads_and_the_product_has(source: str) -> None:
    needed = {name for name, spec in FIELDS.items() if spec.evaluated_as} - OF_FLAGSITE - OF_ROLLOUTS
    for entry in read(source, project(source))[1].entries:
        assert needed <= set(entry.values), entry.key


@pytest.mark.django_db
@pytest.mark.parametrize("source", SOURCES)
def test_an_import_leaves_nothing_of_what_was_there_before(source: str) -> None:
    api, body = Api(_key("editor", Role.EDITOR)), {"source": source, "file": project(source)}
    api.post(IMPORTS, body)
    before = flag_file.document()
    service.create(key="another", values={}, by="tests")
    for key, flag_type, variants in Flag.objects.exclude(key="another").values_list("key", "type", "variants"):
        rule = {"id": "r", "clauses": [{"attribute": "plan", "op": "in", "values": ["pro"]}], "serve": {}}
        last = "on" if flag_type == "boolean" else variants[-1]["key"]
        values: dict[str, Any] = {
            "enabled": False, "killed": True, "rollout_percentage": Decimal(7), "rollout_unit": "organization",
            "prerequisites": ["another"], "targeting_rules": [{**rule, "serve": {"variant": last}}],
        }  # fmt: skip
        if flag_type != "boolean":
            values |= {"off_variant": last, "default_variant": last, "default_rollout": {"rollout": {last: 100}}}
        service.update(key=key, values=values, by="tests")
    again = api.post(IMPORTS, body).json()
    after = flag_file.document()
    assert again["unchanged"] == 0
    assert [flag for flag in after["flags"] if flag["name"] != "another"] == before["flags"]


@pytest.mark.django_db
def test_a_flag_that_has_another_type_here_is_left_out_with_the_flags_that_need_it() -> None:
    service.create(key="was-text", values={"type": "string", "variants": [{"key": "a", "value": "x"}]}, by="tests")
    service.create(key="was-boolean", values={"enabled": True}, by="tests")
    before = flag_file.document()
    body = {"source": "launchdarkly", "file": {"flags": {
        "was-text": of_launchdarkly([True, False]),
        "was-boolean": of_launchdarkly(["x", "y"]),
        "needs-it": of_launchdarkly([True, False], prerequisites=[{"key": "was-text", "variation": 0}]),
        "new": of_launchdarkly([True, False]),
    }}}  # fmt: skip
    for address in (f"{IMPORTS}/plan", IMPORTS):
        answer = Api(_key(address, Role.EDITOR)).post(address, body).json()
        assert [flag["name"] for flag in answer["flags"]] == ["new"]
        assert {(each["flag"], each["code"], each["imported"]) for each in answer["remarks"]} == {
            ("was-text", "type", False), ("was-boolean", "type", False), ("needs-it", "prerequisite", False)
        }  # fmt: skip
    kept = [flag for flag in flag_file.document()["flags"] if flag["name"].startswith("was-")]
    assert kept == before["flags"]


@pytest.mark.django_db
def test_the_command_leaves_out_a_flag_that_has_another_type_here(tmp_path: Path) -> None:
    service.create(key="x", values={"type": "string", "variants": [{"key": "a", "value": "x"}]}, by="tests")
    file = tmp_path / "flags.json"
    flag = {"variants": {"yes": True, "no": False}, "defaultVariant": "no", "state": "ENABLED"}
    file.write_text(json.dumps({"flags": {"x": flag}}))
    assert "x is left out (type)" in run("import_flags", file, "--from", "flagd").out
