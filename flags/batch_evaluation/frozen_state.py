"""The state of the database at one moment, copied to a file: what a batch evaluation evaluates.

The definitions, the organizations and their flag states come from one transaction, so all evaluations are of one
moment. The transaction ends as soon as the copy is done, so that a long evaluation does not keep PostgreSQL from
removing dead rows.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from tempfile import TemporaryFile
from typing import Any, BinaryIO, NamedTuple

from django.db import connection
from django.db.models import OuterRef, Subquery

from flags.definitions.models import Flag
from flags.definitions.refusals import unknown_flag
from flags.evaluation import context_loader
from flags.evaluation.context_loader import CustomValues, StateColumns
from flags.evaluation.engine import Definition
from flags.serving.definition_set import DefinitionSet
from flags.serving.held_attributes import NO_HELD_ATTRIBUTES, HeldAttributes, InternedAttributes
from flags.serving.organization_snapshot import OrganizationSnapshot
from flags.serving.packed_states import NO_STATES, InternedStates, PackedStates
from flags.states.models import Change, CustomValue
from flagsite.core.db.clock import now
from flagsite.core.db.snapshot import snapshot
from jobs.errors import PermanentFailure
from orgs.tree.models import Organization
from orgs.tree.subtrees import in_tree_order, is_in_subtree, load_subtree

MOST_KNOWN = 50_000
"""How many different texts of flag states are kept with what they mean."""
COPY_OUT = """
COPY (
    SELECT json_build_array(organization.id, organization.key, organization.parent_id, state.content, {attributes})
      FROM orgs_organization organization
 LEFT JOIN LATERAL (
           SELECT string_agg(concat_ws(' ', flag_id, COALESCE(source_id, 0), change_number,
                                    COALESCE(enabled::int + 2 * locked::int + 4 * variant, -1)), ',' ORDER BY flag_id)
                  AS content
             FROM flags_flagstate
            WHERE organization_id = organization.id AND flag_id = ANY(%(flag_ids)s)) state ON TRUE
     WHERE {condition}
  ORDER BY {order}
) TO STDOUT (FORMAT csv, DELIMITER E'\\x02', QUOTE E'\\x01')
"""
# A line of JSON: it has no control characters, so nothing in it is quoted.


OWN_ATTRIBUTES = """
(SELECT jsonb_object_agg(name, value) FROM orgs_organizationattribute
  WHERE organization_id = organization.id AND name = ANY(%(names)s))
"""
"""The own attributes of an organization among those that rules read."""


class Place(NamedTuple):
    """An organization: the ids and keys of its path, its flag states, and the attributes that hold in it."""

    ids: tuple[int, ...]
    keys: tuple[str, ...]
    states: PackedStates
    attributes: HeldAttributes


NOWHERE = Place((), (), NO_STATES, NO_HELD_ATTRIBUTES)


@dataclass(frozen=True, slots=True)
class FrozenState:
    """The definitions at one moment, and a file with the organizations at the same moment."""

    definitions: DefinitionSet
    needed: dict[str, Definition]
    """The definitions of the flags to evaluate and of all their prerequisites, by key."""
    at: datetime
    newest_changes: Mapping[str, int | None]
    """The highest change number of each needed flag."""
    organization_count: int
    above: Place
    """The organization above the subtree."""
    rows: BinaryIO
    states: InternedStates
    custom: CustomValues
    """The custom values of the needed flags."""

    def organizations(self) -> Iterator[OrganizationSnapshot]:
        """Yield each organization, a parent before its children. Memory holds one path."""
        self.rows.seek(0)
        reading = _StatesInText(self.states, self.custom)
        ids, keys, states = list(self.above.ids), list(self.above.keys), [self.above.states]
        interned, held = InternedAttributes(), [self.above.attributes]
        for organization_id, key, parent, content, attributes in map(json.loads, self.rows):
            while len(states) > 1 and ids[-1] != parent:
                for each in (ids, keys, states, held):
                    each.pop()
            ids.append(organization_id)
            keys.append(key)
            states.append(reading.states(content or "", states[-1]))
            held.append(interned.of(_held(held[-1], attributes)) if attributes else held[-1])
            yield OrganizationSnapshot(tuple(ids), tuple(keys), states[-1], 0, attributes=held[-1])


@contextmanager
def frozen(flag_keys: Sequence[str], organization_id: int | None) -> Iterator[FrozenState]:
    """Yield the state of now for these flags and the subtree of the organization; None means all organizations.

    Raises PermanentFailure if the organization or a flag does not exist.
    """
    with TemporaryFile() as rows:
        with snapshot():
            at = now()
            definitions = DefinitionSet.load()
            needed = with_prerequisites(flag_keys, definitions.by_key)
            names = context_loader.organization_attributes_read(needed.values())
            above = NOWHERE if organization_id is None else _above(organization_id, names)
            newest = _newest_changes(needed.values())
            flag_ids = [one.id for one in needed.values()]
            count = _copy_out(rows, flag_ids, names, organization_id)
            custom = dict(CustomValue.objects.filter(flag__in=flag_ids).values_list("pk", "value"))
        yield FrozenState(definitions, needed, at, newest, count, above, rows, InternedStates(), custom)


def with_prerequisites(flag_keys: Iterable[str], definitions: dict[str, Definition]) -> dict[str, Definition]:
    """Return the definitions of these flags and of all flags that they need. Raises PermanentFailure."""
    found: dict[str, Definition] = {}
    for key in flag_keys:
        if key not in definitions:
            raise PermanentFailure(unknown_flag(key).detail)
    left = list(flag_keys)
    while left:
        key = left.pop()
        if key not in found and key in definitions:
            found[key] = definitions[key]
            left += definitions[key].prerequisites
    return found


def _newest_changes(definitions: Iterable[Definition]) -> dict[str, int | None]:
    newest = Change.objects.filter(flag_id=OuterRef("pk")).order_by("-number").values("number")[:1]
    flags = Flag.objects.filter(pk__in=[one.id for one in definitions]).annotate(newest=Subquery(newest))
    return dict(flags.values_list("key", "newest"))


def _above(organization_id: int, names: Collection[str]) -> Place:
    organization = Organization.objects.filter(pk=organization_id).first()
    if organization is None:
        raise PermanentFailure("The organization of the job does not exist any more.")
    if organization.parent_id is None:
        return NOWHERE
    ids, keys, columns, custom = context_loader.load_organization(organization.parent_id)
    attributes = InternedAttributes().of(context_loader.load_attributes(ids, names)[0])
    return Place(ids, keys, InternedStates().of(columns, custom), attributes)


def _held(above: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return what holds in an organization with these own attributes. A null ends what comes from above."""
    return {name: value for name, value in {**above, **own}.items() if value is not None}


def _copy_out(rows: BinaryIO, flag_ids: Sequence[int], names: Collection[str], organization_id: int | None) -> int:
    """Copy the organizations with their flag states and the named attributes into the file. Returns their number."""
    subtree = None if organization_id is None else load_subtree(organization_id)
    statement = COPY_OUT.format(
        condition=is_in_subtree("organization") if subtree else "TRUE",
        order=in_tree_order("organization"),
        attributes=OWN_ATTRIBUTES if names else "NULL",
    )
    parameters = {"flag_ids": list(flag_ids), "names": list(names), **(subtree.parameters() if subtree else {})}
    with connection.cursor() as cursor, connection.wrap_database_errors:
        with cursor.copy(statement, parameters) as copy:
            rows.writelines(copy)
        return int(cursor.rowcount)


class _StatesInText:
    """Reads the flag states in the text of COPY_OUT. Most organizations have the same text as another one."""

    def __init__(self, interned: InternedStates, custom: CustomValues) -> None:
        self._interned = interned
        self._custom = custom
        self._known: dict[tuple[str, PackedStates], PackedStates] = {}

    def states(self, content: str, above: PackedStates) -> PackedStates:
        """Return the states of an organization; for a flag without a state of its own, the one above it counts.

        So an organization that was imported a moment ago has the states that it is about to get.
        """
        found = self._known.get((content, above))
        if found is None:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            found = self._known[content, above] = self._read(content, above)
        return found

    def _read(self, content: str, above: PackedStates) -> PackedStates:
        rows = {
            row.flag_id: (row.enabled | row.locked << 1 | row.variant << 2, row.source_id, row.number)
            for row in above.rows
        }
        for text in content.split(",") if content else ():
            flag_id, source_id, number, value = map(int, text.split())
            if value < 0:  # nothing is set
                rows.pop(flag_id, None)
            else:
                rows[flag_id] = (value, source_id, number)
        numbers = {value >> 2 for value, *_ in rows.values()}
        custom = {number: self._custom[number] for number in numbers if number in self._custom}
        return self._interned.of(_columns(rows), custom)


def _columns(rows: dict[int, tuple[int, int, int]]) -> StateColumns:
    if not rows:
        return (), (), (), ()
    flag_ids = tuple(sorted(rows))
    values, sources, numbers = zip(*[rows[flag_id] for flag_id in flag_ids], strict=True)
    return flag_ids, values, sources, numbers
