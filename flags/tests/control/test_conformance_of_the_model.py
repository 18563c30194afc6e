"""The pure model answers every published case as the case says."""

from __future__ import annotations

from typing import Any

import pytest

from flags.tests.control.cases import CASES, FILES, FOLDER
from flags.tests.control.model import carry_out, planted


def test_there_are_cases_of_every_kind() -> None:
    assert len(CASES) == sum(len(content["cases"]) for content in FILES.values()), "two cases have one name"
    assert len(CASES) >= 100
    steps = [step for case in CASES.values() for step in case["steps"]]
    assert {step["do"] for step in steps} == {
        "set", "overwrite", "reset", "exempt", "endExemption", "create", "move", "delete", "ask",
    }  # fmt: skip
    assert {step["answer"] for step in steps if step["do"] != "ask"} == {
        "accepted", "flag-locked", "flag-not-locked", "move-under-own-descendant", "organization-has-children",
    }  # fmt: skip


def test_the_page_of_the_cases_names_every_file() -> None:
    page = (FOLDER / "README.md").read_text()
    assert [name for name in FILES if f"`{name}.json`" not in page] == []


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_model_answers_as_the_case_says(case: dict[str, Any]) -> None:
    model = planted(case["tree"])
    for step in case["steps"]:
        if step["do"] == "ask":
            place = step["organization"], step["flag"]
            assert model.answer(*place) == (step["value"], step["source"], step["reason"]), step
            assert model.masked(*place) == step.get("masked", model.masked(*place)), step
        else:
            answer, changes = carry_out(model, step)
            assert answer == step["answer"], step
            assert changes == step.get("changes", changes), step
