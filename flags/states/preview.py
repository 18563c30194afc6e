"""What a change would do, before anybody asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection

from flags.states import inheritance, set_flag
from flags.states.sql import Value
from flagsite.core.ids import MAX_ID
from orgs.tree.models import Organization
from orgs.tree.paths import path_ids_of
from orgs.tree.signals import Placement
from orgs.tree.subtrees import is_at_or_below, is_in_subtree

MOST_SHOWN = 20
"""Flags that are told one by one."""
MOST_COUNTED = 2_000_000
"""Rows that a preview goes through while somebody waits; more take longer than some seconds."""

SWITCH = f"""
SELECT count(*), count(*) FILTER (WHERE COALESCE(state.enabled, flag.enabled, FALSE) = %(enabled)s),
       count(*) FILTER (WHERE state.source_id = organization.id AND organization.id <> %(top)s)
  FROM orgs_organization organization
  LEFT JOIN flags_flag flag ON flag.key = %(flag)s
  LEFT JOIN flags_flagstate state ON state.organization_id = organization.id AND state.flag_id = flag.id
 WHERE {is_in_subtree("organization")}
"""  # noqa: S608 - no input in it


MOVE = f"""
SELECT flag.key, value.enabled,
       count(*) FILTER (WHERE COALESCE(state.enabled, flag.enabled) <> value.enabled) AS changed,
       count(*) FILTER (WHERE state.source_id = organization.id) AS set_themselves
  FROM unnest(%(flag_ids)s::bigint[], %(enabled)s::boolean[], %(numbers)s::bigint[]) AS value(flag_id, enabled, number)
  JOIN flags_flag flag ON flag.id = value.flag_id
 CROSS JOIN orgs_organization top
  JOIN orgs_organization organization ON {is_at_or_below("organization", "top")}
  LEFT JOIN flags_flagstate state ON state.organization_id = organization.id AND state.flag_id = flag.id
 WHERE top.id = %(top)s AND COALESCE(state.change_number, 0) < value.number
 GROUP BY flag.key, value.enabled
 ORDER BY flag.key
"""  # noqa: S608 - no input in it


@dataclass(frozen=True, slots=True)
class Switch:
    """Of an organization and all below it: how many there are, have the value already, were set themselves.

    Where nobody set the flag its default holds; a flag that the change `creates` is off until then.
    """

    organizations: int
    unchanged: int
    set_themselves: int
    creates: bool

    @property
    def changed(self) -> int:
        """How many would have another value than now."""
        return self.organizations - self.unchanged


def switch(organization: Organization, flag_key: str, *, enabled: bool) -> Switch:
    """What setting the flag there would do now; the organization as it was just loaded.

    Raises FlagNotFound, FlagArchived, FlagPurging.
    """
    is_there = set_flag.check_may_be_set(flag_key)
    parameters = {
        "enabled": enabled,
        "flag": flag_key,
        "top": organization.pk,
        **organization.subtree.parameters(),
    }
    with connection.cursor() as cursor:
        cursor.execute(SWITCH, parameters)
        organizations, unchanged, set_themselves = cursor.fetchone()
    return Switch(organizations, unchanged, set_themselves, creates=not is_there)


def move(organization: Organization, parent: Organization | None) -> list[str]:
    """Sentences on the flags whose values the move would write over those that there are, and on how many."""
    if organization.parent_id == (parent.pk if parent else None):
        return ["It is there already."]
    former_ancestor_ids = tuple(path_ids_of(organization.pk)[:-1])
    placement = Placement(organization.pk, parent.pk if parent else None, former_ancestor_ids)
    values = inheritance.values_after_move(placement, number=MAX_ID)
    counted = values[: max(1, MOST_COUNTED // organization.subtree.size)]
    written = [row for row in _overwritten(organization.pk, counted) if row[2] or row[3]]
    sentences = [_sentence(*row) for row in written[:MOST_SHOWN]]
    if len(written) > MOST_SHOWN:
        sentences.append(f"So it is with {_flags(len(written) - MOST_SHOWN)} more.")
    if len(values) > len(counted):
        sentences.append(f"{_flags(len(values) - len(counted))} more would be written; too many to count here.")
    return sentences or ["No flag gets another value, and nothing that was set is overwritten."]


def _overwritten(organization_id: int, values: list[Value]) -> list[tuple[str, bool, int, int]]:
    """By flag: what is written, how many organizations have another value now, how many were set themselves."""
    parameters: dict[str, Any] = {
        "top": organization_id,
        "flag_ids": [value.flag_id for value in values],
        "enabled": [value.enabled for value in values],
        "numbers": [value.number for value in values],
    }
    with connection.cursor() as cursor:
        cursor.execute(MOVE, parameters)
        return cursor.fetchall()


def _sentence(flag_key: str, enabled: bool, changed: int, set_themselves: int) -> str:
    gets = "1 organization gets" if changed == 1 else f"{changed:,} organizations get"
    words = f"{flag_key} becomes {'on' if enabled else 'off'}: {gets} another value"
    if set_themselves:
        were = "1 that was set itself is" if set_themselves == 1 else f"{set_themselves:,} that were set themselves are"
        words += f"; {were} overwritten"
    return f"{words}."


def _flags(count: int) -> str:
    return "1 flag" if count == 1 else f"{count:,} flags"
