"""The segments of other products' files, on their way into segments of Flagsite.

A flag asks for a segment by its key here. A segment is read when the first flag asks for it. One that Flagsite cannot
say exactly is left out, and so is each flag that asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flags.moving.issues import Issue, NoEqual
from flags.moving.sources.conditions import WRONG_FORM, Condition, present
from flags.segments.models import SEGMENT_KEY_PATTERN
from flags.targeting.attributes import TARGETING_KEY
from flags.targeting.checks import MAX_RULES
from flags.targeting.segments import MAX_LEVELS

Content = dict[str, Any]
"""The fields of a segment of Flagsite."""
MOST_NESTED = 100
"""How many segments may be read at once. The depth that Flagsite allows is checked afterwards, from the innermost."""


class Segments:
    """The segments of one file, by the names that its flags use."""

    def __init__(self, listed: Mapping[Any, Any], read_one: Callable[[Any, Segments], Content]) -> None:
        """`listed` has the segments as they are in the file; `read_one` reads one, and raises NoEqual."""
        self._listed, self._read_one = listed, read_one
        self._found: dict[Any, Content | NoEqual] = {}
        self._levels: dict[Any, int] = {}
        self._being_read: list[Any] = []

    @property
    def contents(self) -> list[Content]:
        """The segments that flags have asked for, each with its key."""
        return [content for content in self._found.values() if isinstance(content, dict)]

    def asked(self, names: Sequence[Any], *, negate: bool = False) -> Condition:
        """Return the condition that somebody is in one of the segments, or with `negate` in none. Raises NoEqual."""
        keys = [self._find(name)["key"] for name in names]
        marks = {"negate": True} if negate else {}
        return [[{"op": "inSegment", "values": list(dict.fromkeys(keys)), **marks}]] if keys else [[]] * negate

    def _find(self, name: Any) -> Content:
        if name not in self._found:
            self._found[name] = NoEqual(Issue.SEGMENT, f"The segment {name!r} is a part of a circle of segments.")
            try:
                self._found[name] = self._read(name)
            except NoEqual as reason:
                self._found[name] = reason
        found = self._found[name]
        if isinstance(found, NoEqual):
            raise NoEqual(found.issue, found.detail)
        for outer in self._being_read[-1:]:
            self._levels[outer] = max(self._levels[outer], 1 + self._levels[name])
        return found

    def _read(self, name: Any) -> Content:
        listed = self._listed.get(name)
        if not isinstance(listed, dict):
            raise NoEqual(Issue.SEGMENT, f"The file does not say who is in the segment {name!r}.")
        if len(self._being_read) >= MOST_NESTED:
            raise NoEqual(Issue.SEGMENT, f"The segment {name!r} is nested too deeply.")
        self._being_read.append(name)
        self._levels[name] = 1
        try:
            content = {"description": "", "rules": [], "included": [], "excluded": [], **self._read_one(listed, self)}
        except WRONG_FORM:
            raise NoEqual(Issue.SEGMENT, f"The segment {name!r} has another form than the product writes.") from None
        finally:
            self._being_read.pop()
        if any(content["key"] == each["key"] for each in self.contents):
            raise NoEqual(Issue.SEGMENT, f"Two segments of the file would have the key {content['key']!r}.")
        if self._levels[name] > MAX_LEVELS:
            raise NoEqual(Issue.SEGMENT, f"The segment {name!r} is nested more than {MAX_LEVELS} deep.")
        return content


def segment_rules(condition: Condition) -> list[dict[str, Any]]:
    """Return the rules of a segment for a condition, one for each alternative. Raises NoEqual if they are too many."""
    if len(condition) > MAX_RULES:
        raise NoEqual(Issue.TOO_LONG, f"A segment needs more than {MAX_RULES} rules.")
    anybody = [present(TARGETING_KEY)]
    return [{"id": f"rule-{number}", "clauses": each or anybody} for number, each in enumerate(condition, 1)]


def key_of(name: str, number: Any) -> str:
    """Return the key of a segment whose product gives it a name for people and a number."""
    if re.fullmatch(SEGMENT_KEY_PATTERN, name):
        return name
    words = "-".join(re.findall("[a-z0-9]+", name.lower()))[:80]
    return f"{words}-{number}" if words else f"segment-{number}"
