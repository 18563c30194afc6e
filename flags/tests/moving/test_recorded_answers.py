"""The sample projects answer here as the products' own libraries have answered for them.

`answers/` has what these libraries gave for the sample files, for users with the keys user-0, user-1 and so on. Each
file names its library.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flags.evaluation.engine import Definition
from flags.tests.moving.importing import answer, read

FOLDER = Path(__file__).parent
SOURCES = ["growthbook", "launchdarkly", "unleash", "flagsmith"]
RECORDED = {source: json.loads((FOLDER / "answers" / f"{source}.json").read_text()) for source in SOURCES}
READ = {source: read(source, json.loads((FOLDER / f"{source}.json").read_text())) for source in SOURCES}
CASES = [(source, place) for source in SOURCES for place in range(len(RECORDED[source]["answers"]))]


def value_of(definition: Definition, variant: str) -> Any:
    values = {each.key: each.value for each in definition.variants} or {"on": True, "off": False}
    return values.get(variant)


@pytest.mark.parametrize(("source", "place"), CASES)
def test_users_get_what_the_library_of_the_product_gave_them(source: str, place: int) -> None:
    recorded, definitions = RECORDED[source]["answers"][place], READ[source][0]
    flag, context = recorded["flag"], recorded["context"]
    for number, expected in enumerate(recorded["values"]):
        user = f"user-{number}"
        own = {name: user if value == "each user" else value for name, value in context.items()}
        found = answer(definitions, flag, None if recorded.get("anonymous") else user, **own)
        assert value_of(definitions[flag], found) == expected, (flag, user, own)


@pytest.mark.parametrize("source", SOURCES)
def test_the_answers_tell_users_apart(source: str) -> None:
    various = [each for each in RECORDED[source]["answers"] if len({str(value) for value in each["values"]}) > 1]
    assert len(various) > 2
    assert RECORDED[source]["library"]
