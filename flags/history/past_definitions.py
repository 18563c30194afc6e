"""The definitions of flags as they were at a past moment."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.db import connection

from flags.definitions.fields import FIELDS
from flags.definitions.loader import definition_from, with_segments
from flags.errors import BeforeHistory, FlagNotFound
from flags.evaluation.engine import Definition
from flags.evaluation.wants import with_wants
from flags.history.moments import Moment
from flags.history.past_segments import past_segments
from flags.values.stored_json import StoredJson


@dataclass(frozen=True, slots=True)
class PastDefinition:
    """A definition as it was then, and who had written this version."""

    definition: Definition
    values: Mapping[str, Any]
    """The fields by the model's field names, as JSON of PostgreSQL."""
    updated_by: str


# Of the definitions that ended later, the first one held. The definition of now has the same form.
THEN = """
SELECT flag.id, flag.key, COALESCE(former.definition, to_jsonb(flag) || jsonb_build_object('prerequisites', ARRAY(
           SELECT needed.key FROM flags_flag_prerequisites link JOIN flags_flag needed ON needed.id = link.to_flag_id
            WHERE link.from_flag_id = flag.id ORDER BY needed.key COLLATE "C")))
  FROM flags_flag flag
  LEFT JOIN LATERAL (  -- index former_definition
       SELECT definition FROM flags_formerdefinition
        WHERE flag_id = flag.id AND valid_until > %(at)s ORDER BY valid_until, id LIMIT 1) former ON TRUE
 WHERE flag.created_at <= %(at)s AND (flag.id = ANY(%(ids)s) OR flag.key = ANY(%(keys)s))
"""


def past_definitions(
    moment: Moment, *, ids: Collection[int] = (), keys: Collection[str] = ()
) -> dict[str, PastDefinition]:
    """Return the definitions of these flags, and of all flags that they needed then, by key.

    Flags that did not exist then are left out. Raises BeforeHistory if a flag that was needed then was purged since.
    """
    found = _load(moment, ids, keys)
    missing = _needed(found)
    while missing:
        more = _load(moment, (), missing)
        gone = sorted(missing - more.keys())
        if gone:
            raise BeforeHistory(
                f"The flag {gone[0]!r} was a prerequisite then, and was purged since. So its value is not known."
            )
        found |= more
        missing = _needed(found)
    return found


def past_definition(moment: Moment, key: str) -> dict[str, PastDefinition]:
    """Return the definition of a flag, and of all flags that it needed then, by key. Raises FlagNotFound."""
    found = past_definitions(moment, keys=[key])
    if key not in found:
        raise no_flag(key, moment)
    return found


def no_flag(key: str, moment: Moment) -> FlagNotFound:
    """Return the error for a flag that did not exist at a moment, or that the caller may not see."""
    return FlagNotFound(f"There was no flag {key!r} at {moment}.")


def evaluated(definitions: Mapping[str, PastDefinition]) -> dict[str, Definition]:
    """Return the parts that evaluation needs, by key."""
    return {key: past.definition for key, past in definitions.items()}


def _load(moment: Moment, ids: Iterable[int], keys: Iterable[str]) -> dict[str, PastDefinition]:
    with connection.cursor() as cursor:
        cursor.execute(THEN, {"at": moment.at, "ids": list(ids), "keys": list(keys)})
        found = {
            key: _past(flag_id, key, with_wants(json.loads(values, cls=StoredJson)))
            for flag_id, key, values in cursor.fetchall()
        }
    resolved = with_segments(evaluated(found), lambda _: past_segments(moment))
    return {key: replace(past, definition=resolved[key]) for key, past in found.items()}


def _past(flag_id: int, key: str, values: Mapping[str, Any]) -> PastDefinition:
    fields = {name: _value(name, values[name]) if name in values else spec.default for name, spec in FIELDS.items()}
    definition = definition_from({**fields, "id": flag_id, "key": key, "version": values["version"]})
    return PastDefinition(definition, values, str(values.get("updated_by", "")))


def _value(name: str, value: Any) -> Any:
    """Convert the JSON of a column to the model's value."""
    return FIELDS[name].value_from_json(value)


def _needed(found: Mapping[str, PastDefinition]) -> set[str]:
    return {key for past in found.values() for key in past.definition.prerequisites} - found.keys()
