"""docs/reference-systems.md: each row has a state and names tests that exist."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "reference-systems.md").read_text()
STATES = {"WORKS", "BETTER-WAY", "PARTLY", "MISSING"}
ROWS = {"000": 74, "001": 62, "002": 34, "003": 44, "004": 30}
"""How many things each of the five documents names."""
LINES = re.findall(r"^\| \d{3}-.*", PAGE, re.MULTILINE)
TABLE = [tuple(cell.strip() for cell in line[2:-2].split(" | ")) for line in LINES]
NAMED = sorted({name for row in TABLE for name in re.findall(r"`([\w/.]+\.py::\w+)`", row[-1])})
HELD = {"WORKS", "BETTER-WAY"}
"""States that promise something, so that a test has to hold it."""


@cache
def defined_in(path: str) -> set[str]:
    """The names of the tests in a file; none if there is no such file."""
    file = ROOT / path
    if not file.exists():
        return set()
    nodes = ast.walk(ast.parse(file.read_text()))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_each_row_of_the_five_documents_is_there_once() -> None:
    assert [row[0] for row in TABLE] == [f"{name}-{n}" for name, count in ROWS.items() for n in range(1, count + 1)]


def test_each_row_has_a_state_and_says_what_was_seen() -> None:
    for number, named, state, seen, _ in TABLE:
        assert state in STATES, number
        assert named, number
        assert seen, number


def test_each_row_that_promises_something_names_a_test_that_holds_it() -> None:
    assert [row[0] for row in TABLE if row[2] in HELD and not re.search(r"\.py::test_", row[-1])] == []


@pytest.mark.parametrize("name", NAMED)
def test_each_test_that_a_row_names_exists(name: str) -> None:
    path, _, test = name.partition("::")
    assert test in defined_in(path)


def test_the_page_counts_the_states_as_they_are() -> None:
    counts = Counter(row[2] for row in TABLE)
    said = {state: int(count) for count, state in re.findall(r"(\d+) ([A-Z-]+)[,.]", PAGE.partition("\n## ")[0])}
    assert said == {state: counts[state] for state in STATES}
