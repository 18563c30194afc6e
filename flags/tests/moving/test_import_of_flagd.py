"""A file for flagd answers here as flagd's own evaluation does."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext

from flags.errors import InvalidFlagFile
from flags.evaluation.engine import OrganizationContext
from flags.moving.to_flagd import of_organization
from flags.tests.moving.importing import answer, codes, read

TEXT = (Path(__file__).parent / "flagd.json").read_text()
TEXTS = {"colour", "fifths"}
DEFINITIONS, READING = read("flagd", json.loads(TEXT))
CONTEXTS = [
    {name: value for name, value in zip(("email", "version", "plan", "age"), values, strict=True) if value is not None}
    for values in product((None, "x@example.org"), (None, "1.9", "2.0.0"), (None, "free", "pro"), (None, 60, 61))
]


def of_flagd(content: str, key: str, user: str, context: Any) -> str:
    core = FlagdCore()
    core.set_flags(content)
    resolve: Any = core.resolve_string_value if key in TEXTS else core.resolve_boolean_value
    found = resolve(key, "" if key in TEXTS else False, EvaluationContext(user, context))
    return {True: "on", False: "off"}.get(found.value, found.variant)


@pytest.mark.parametrize("key", ["staff", "colour", "quarter", "tenth-of-pros", "fifths", "by-several-texts"])
def test_users_get_what_flagd_gives_them(key: str) -> None:
    for context in CONTEXTS:
        for user in ("ada", "user-1"):
            assert answer(DEFINITIONS, key, user, **context) == of_flagd(TEXT, key, user, context), (user, context)
    for number in range(150):
        user = f"user-{number}"
        for plan in ("pro", "free"):
            assert answer(DEFINITIONS, key, user, plan=plan) == of_flagd(TEXT, key, user, {"plan": plan}), user


def test_types_and_states_come_along() -> None:
    by_key = {entry.key: entry.values for entry in READING.entries}
    assert sorted(by_key) == [
        "by-several-texts",
        "colour",
        "disabled",
        "fifths",
        "no-default",
        "quarter",
        "staff",
        "tenth-of-pros",
    ]
    assert [by_key[key].get("type", "boolean") for key in ("colour", "disabled", "no-default", "staff")] == [
        "string", "integer", "object", "boolean"
    ]  # fmt: skip
    assert answer(DEFINITIONS, "disabled", "ada") == ""
    assert answer(DEFINITIONS, "no-default", "ada") == ""


def test_what_has_no_equal_is_left_out_and_named() -> None:
    assert codes(READING) == {
        ("thirds", "weights", False), ("arithmetic", "operator", False), ("by-time", "operator", False),
        ("tenth-of-pros", "arrays", True), ("colour", "arrays", True), ("colour", "numbers", True),
        ("staff", "arrays", True), ("by-several-texts", "arrays", True),
    }  # fmt: skip


def test_what_was_imported_from_flagd_is_exported_for_it_again() -> None:
    exported = of_organization(OrganizationContext((1,), ("acme",), {}), None, DEFINITIONS)
    assert [each.flag for each in exported.not_exported] == []
    again = json.dumps(exported.document)
    for number in range(50):
        user = f"user-{number}"
        assert of_flagd(again, "quarter", user, {}) == of_flagd(TEXT, "quarter", user, {})


@pytest.mark.parametrize("content", [[], {}, {"flags": []}])
def test_another_file_is_refused(content: Any) -> None:
    with pytest.raises(InvalidFlagFile, match="not one for flagd"):
        read("flagd", content)
