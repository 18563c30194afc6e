"""What an audit entry says about values before and after, in words for people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orgs.access.caller import Caller
from orgs.access.visible_organizations import visible_organizations
from orgs.audit.models import AuditEntry
from orgs.audit.sentence_parts import Parts, Places
from orgs.audit.sentences import sentence, text_of
from orgs.tree.paths import path_names_of

MAX_VALUE_LENGTH = 200
MAX_SHOWN = 20
"""Audit entries on the page of an organization or of a flag."""
PARENTS = {"before": "organization.move", "after": "organization.move", "parentId": "organization.create"}
"""The details that are ids of organizations, with the action whose entries have them."""
VALUE_ACTIONS = {"flag.set", "flag.lock", "flag.reset", "flag.exempt", "flag.exemption-ended", "flag.undo"}
"""Actions that give an organization another value of a flag. Their entries have the values `before` and `enabled`. An
undo of a change of a definition has `after` instead."""
UNNAMED = {"organization.rename": "name", "organization.move": "parent", "job.priority": "priority"}
"""What the values before and after are of, if the entry has no names for them."""


@dataclass(frozen=True, slots=True)
class ShownEntry:
    """An audit entry, the organization's path, the changes in words, and the entry as a sentence."""

    entry: AuditEntry
    where: str
    changes: Sequence[str]
    parts: Parts

    @property
    def sentence(self) -> str:
        """The entry as one plain sentence."""
        return text_of(self.parts)


def shown(entries: Iterable[AuditEntry], caller: Caller) -> list[ShownEntry]:
    """Return the entries with paths and words, with two queries for all. Organizations above the scope stay unnamed."""
    rows = list(entries)
    ids = {row.organization_id for row in rows if row.organization_id} | {id_ for row in rows for id_ in _parents(row)}
    visible = set(visible_organizations(caller).filter(pk__in=ids).values_list("pk", flat=True))
    paths = path_names_of(visible, top_id=caller.organization_id)
    places = Places(paths, "deleted" if caller.organization_id is None else "outside of your organizations")
    names = {id_: " › ".join(paths[id_]) if id_ in paths else f"{id_}, {places.unknown}" for id_ in ids}
    return [
        ShownEntry(row, names.get(row.organization_id or 0, ""), in_words(row, names), sentence(row, places))
        for row in rows
    ]


def in_words(entry: AuditEntry, names: Mapping[int, str]) -> list[str]:
    """Return the values before and after as sentences without an end, such as "rollout percentage: 10 → 25".

    `names` has the names of the organizations to which the entry refers, by id.
    """
    details = dict(entry.details)
    for name in _parent_fields(entry):
        details[name] = names.get(details[name], details[name]) if details[name] else "none, it is a root"
    sentences = []
    if entry.action in VALUE_ACTIONS and "after" not in details:
        before, after = details.pop("before", None), details.pop("enabled", None)
        sentences.append(
            f"{'not set' if before is None else _word(before)} → {'not set' if after is None else _word(after)}"
        )
    elif "before" in details or "after" in details:
        sentences += _differences(details.pop("before", None), details.pop("after", None), UNNAMED.get(entry.action))
    return sentences + [f"{_label(name)}: {_value(value)}" for name, value in details.items() if value is not None]


def _differences(before: Any, after: Any, unnamed: str | None) -> list[str]:
    if not isinstance(before, dict | None) or not isinstance(after, dict | None):
        prefix = f"{unnamed}: " if unnamed else ""
        return [f"{prefix}{_value(before)} → {_value(after)}"]
    if before is None:
        return [f"{_label(name)}: {_value(value)}" for name, value in (after or {}).items() if value not in _EMPTY]
    if after is None:
        return [f"{_label(name)} was {_value(value)}" for name, value in before.items() if value not in _EMPTY]
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return [_difference(name, before.get(name), after.get(name)) for name in changed]


_EMPTY: tuple[Any, ...] = (None, "", [], {})


def _difference(name: str, before: Any, after: Any) -> str:
    if isinstance(before, list) and isinstance(after, list):
        parts = [("added", [one for one in after if one not in before]),
                 ("removed", [one for one in before if one not in after])]  # fmt: skip
        words = " and ".join(f"{word} {_value(some)}" for word, some in parts if some)
        return f"{_label(name)}: {words or 'another order'}"
    if isinstance(before, dict) and isinstance(after, dict):
        return f"{_label(name)}: {'; '.join(_differences(before, after, None))}"
    return f"{_label(name)}: {_value(before)} → {_value(after)}"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return _word(value)
    if value in _EMPTY:
        return "none"
    if isinstance(value, list):
        text = ", ".join(_value(one) for one in value)
    elif isinstance(value, dict):
        text = "; ".join(f"{_label(name)} {_value(one)}" for name, one in value.items())
    else:
        text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= MAX_VALUE_LENGTH else f"{text[:MAX_VALUE_LENGTH]} …"


def _word(value: Any) -> str:
    return "on" if value else "off"


def _label(name: str) -> str:
    """Return a name in JSON as words: rolloutPercentage is "rollout percentage"."""
    return re.sub(r"(?<=[a-z])([A-Z])", lambda letter: f" {letter[1].lower()}", name).replace("_", " ")


def _parent_fields(entry: AuditEntry) -> list[str]:
    return [name for name, action in PARENTS.items() if entry.action == action and name in entry.details]


def _parents(entry: AuditEntry) -> list[int]:
    return [id_ for name in _parent_fields(entry) if isinstance(id_ := entry.details[name], int)]
