"""The path and the flag states of an organization, read from the database for evaluation."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.db import connection

from flags.evaluation.engine import Definition, OrganizationContext, StateValue
from flags.values.stored_json import StoredJson
from flags.values.variants import is_custom
from orgs.attributes.inherited_attributes import held_on
from orgs.errors import OrganizationNotFound
from orgs.tree.paths import PATH, path_parameters

INHERITED_STATES = f"""
{PATH},
own AS MATERIALIZED (SELECT * FROM flags_flagstate WHERE organization_id = ANY(%(bottom_ids)s)),
missing AS MATERIALIZED (
    SELECT array_agg(id) AS flag_ids FROM flags_flag WHERE id NOT IN (SELECT flag_id FROM own)),
inherited AS (
    SELECT DISTINCT ON (state.flag_id) state.*
      FROM missing, path, LATERAL (
           SELECT * FROM flags_flagstate
            WHERE organization_id = path.id AND flag_id = ANY(missing.flag_ids) OFFSET 0) state
     WHERE missing.flag_ids IS NOT NULL AND distance > 0
       AND NOT EXISTS (SELECT FROM flags_flagsetting
                        WHERE organization_id = path.id AND flag_id = state.flag_id AND only_here)
     ORDER BY state.flag_id, distance)
"""  # noqa: S608 - no input in it
"""Common table expressions for statements that begin with `WITH RECURSIVE`: what holds in one organization.

`own` has its flag states. `inherited` has those of its nearest ancestors, for the flags of which it has none yet. Rows
with an empty value are among them: they say that nothing is set.
"""
PATH_AND_STATES = f"""
WITH RECURSIVE {INHERITED_STATES},
nearest AS (SELECT * FROM own UNION ALL SELECT * FROM inherited)
SELECT (SELECT array_agg(id ORDER BY distance DESC) FROM path),
       (SELECT array_agg(key ORDER BY distance DESC) FROM path),
       array_agg(flag_id ORDER BY flag_id),
       array_agg(enabled::integer + 2 * locked::integer + 4 * variant ORDER BY flag_id),
       array_agg(source_id ORDER BY flag_id), array_agg(change_number ORDER BY flag_id)
  FROM nearest WHERE enabled IS NOT NULL
"""  # noqa: S608 - no input in it

StateColumns = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""Flag states column by column, in the order of the flags' ids: flags, values, sources, change numbers.

A value is 1 for on, with 2 added if it is locked, and four times the number of a variant or custom value."""
CustomValues = Mapping[int, Any]
"""Custom values by their numbers (`flags.values.variants`)."""


def load_organization(organization_id: int) -> tuple[tuple[int, ...], tuple[str, ...], StateColumns, CustomValues]:
    """The organization's path, as ids and as keys, root first, its flag states, and the custom values among them.

    One query with one row, and another one if there are custom values.

    An organization that was imported a moment ago and waits for its states has its nearest ancestor's until then.
    Raises OrganizationNotFound.
    """
    with connection.cursor() as cursor:
        cursor.execute(PATH_AND_STATES, path_parameters([organization_id]))
        ids, keys, *columns = cursor.fetchone()
    if ids is None:
        raise OrganizationNotFound
    keys = tuple(map(sys.intern, keys))  # the organizations of a tree share the keys of their ancestors
    flags, values, sources, numbers = (tuple(column or ()) for column in columns)
    return tuple(ids), keys, (flags, values, sources, numbers), load_custom_values(value >> 2 for value in values)


def load_custom_values(numbers: Iterable[int]) -> CustomValues:
    """The custom values among these numbers of variants and custom values."""
    custom = [number for number in numbers if is_custom(number)]
    if not custom:
        return {}
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, value FROM flags_customvalue WHERE id = ANY(%s)", [custom])
        return {number: json.loads(value, cls=StoredJson) for number, value in cursor.fetchall()}


def load_attributes(ids: Sequence[int], names: Collection[str]) -> tuple[dict[str, Any], dict[str, int]]:
    """Those of the named attributes that hold at the end of a path, and the organization from which each comes.

    Without names it asks for nothing.
    """
    held = held_on(ids, names)
    return {one.name: one.value for one in held}, {one.name: one.source_id for one in held}


def organization_attributes_read(definitions: Iterable[Definition]) -> frozenset[str]:
    """The attributes of organizations that targeting rules and default rollouts read.

    An archived or killed flag asks none of them.
    """
    in_use = [one for one in definitions if not (one.archived or one.killed)]
    by_rules = {name for one in in_use for rule in one.targeting_rules for name in rule.reads_of_organization}
    by_default = {one.default_rollout.own_name for one in in_use if one.default_rollout is not None}
    return frozenset((by_rules | by_default) - {""})


def with_attributes(organization: OrganizationContext, names: Collection[str]) -> OrganizationContext:
    """The organization with those of the named attributes that hold in it now."""
    if not names:
        return organization
    attributes, sources = load_attributes(organization.ids, names)
    key_of = dict(zip(organization.ids, organization.keys, strict=True))
    source_keys = {name: key_of[source_id] for name, source_id in sources.items()}
    return replace(organization, attributes=attributes, attribute_sources=source_keys)


def load_context(organization_id: int, attribute_names: Collection[str] = ()) -> OrganizationContext:
    """The same as `flags.evaluation.engine.evaluate` takes it. Raises OrganizationNotFound.

    It has those attributes that are named (`organization_attributes_read`).
    """
    ids, keys, columns, custom = load_organization(organization_id)
    states = {
        flag_id: StateValue(
            flag_id, bool(value & 1), source_id, number, bool(value & 2), value >> 2, custom.get(value >> 2)
        )
        for flag_id, value, source_id, number in zip(*columns, strict=True)
    }
    return with_attributes(OrganizationContext(ids, keys, states), attribute_names)


def find_id(key: str) -> int:
    """The id of the organization with this key. Raises OrganizationNotFound."""
    if not _is_text(key):
        raise OrganizationNotFound
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM orgs_organization WHERE key = %s", [key])
        row = cursor.fetchone()
    if row is None:
        raise OrganizationNotFound
    return int(row[0])


def is_key_of_another(organization_id: int) -> bool:
    """Whether another organization has the digits of this organization's id as its key."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM orgs_organization WHERE key = %s AND id <> %s)",
            [str(organization_id), organization_id],
        )
        return bool(cursor.fetchone()[0])


def _is_text(key: str) -> bool:
    """Whether PostgreSQL can hold the text: it has no zero byte and no lone surrogate, which JSON may bring."""
    try:
        return b"\0" not in key.encode()
    except UnicodeEncodeError:
        return False
