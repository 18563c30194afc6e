"""Compares recorded answers with what Flagsite answers at one moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from flags.replay.moment import Given, Moment
from flags.replay.recording import Answer, RecordedContext

MOST_DIFFERENCES = 1_000
"""How many differences are kept."""
LONGEST_SHOWN = 1_000
"""Characters of an answer in the list of differences."""
MISSING = object()


class Difference(NamedTuple):
    """A flag whose recorded answer is not that of Flagsite, in the order of the columns of the list."""

    line: int
    flag: str
    expected: str
    got: str
    rule: str
    rule_id: str


class Comparison:
    """The result of comparing many recorded contexts."""

    def __init__(self, moment: Moment) -> None:
        self._moment = moment
        self.compared: Counter[str] = Counter()
        """The number of comparisons by flag."""
        self.different: Counter[str] = Counter()
        self.differences: list[Difference] = []
        """The first MOST_DIFFERENCES differences."""

    def add(self, recorded: RecordedContext) -> None:
        """Compare the answers of a context. Raises PermanentFailure for a context that OFREP refuses."""
        evaluator = self._moment.evaluator(recorded)
        for flag, expected in recorded.answers.items():
            given = evaluator.answer(flag)
            self.compared[flag] += 1
            if all(is_same(value, given.answer.get(name, MISSING)) for name, value in expected.items()):
                continue
            self.different[flag] += 1
            if len(self.differences) < MOST_DIFFERENCES:
                self.differences.append(_difference(recorded.line, flag, expected, given))


def is_same(one: Any, other: Any) -> bool:
    """Return whether two JSON values are the same. 1 and 1.0 are the same number, and true is no number."""
    pairs = [(one, other)]
    while pairs:
        left, right = pairs.pop()
        if isinstance(left, dict) and isinstance(right, dict):
            if left.keys() != right.keys():
                return False
            pairs += [(value, right[name]) for name, value in left.items()]
        elif isinstance(left, list) and isinstance(right, list):
            if len(left) != len(right):
                return False
            pairs += zip(left, right, strict=True)
        elif _kind(left) is not _kind(right) or left != right:
            return False
    return True


def _kind(value: Any) -> type:
    return float if type(value) is int else type(value)


def _difference(line: int, flag: str, expected: Answer, given: Given) -> Difference:
    names = ("errorCode",) if given.answer.get("errorCode") else tuple(expected)
    got = {name: given.answer[name] for name in names if name in given.answer}
    resolution = given.resolution
    rule = "" if resolution is None else resolution.rule.value
    rule_id = "" if resolution is None or resolution.error else resolution.metadata.get("ruleId", "")
    return Difference(line, flag, _shown(expected), _shown(got), rule, rule_id)


def _shown(answer: Answer) -> str:
    """Return an answer in JSON, cut where it is long or nested too deeply for JSON to be written."""
    return ",".join(_members(answer)).join("{}")


def _members(answer: Answer) -> Iterator[str]:
    for name, value in answer.items():
        try:
            text = orjson.dumps(value).decode()
        except TypeError:  # more than 254 levels
            text = "…"
        yield f'"{name}":{text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"}'
