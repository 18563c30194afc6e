"""Previews: how many organizations a change of a flag or a move would affect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection

from flags.definitions.refusals import offer
from flags.evaluation.engine import StateValue
from flags.states import inheritance, selectors, set_flag
from flagsite.core.ids import MAX_ID
from orgs.tree.models import Organization
from orgs.tree.paths import path_ids_of
from orgs.tree.signals import Placement
from orgs.tree.subtrees import is_at_or_below, is_in_subtree

MAX_DESCRIBED_FLAGS = 20
"""Flags that the preview of a move describes with a sentence each."""
MAX_COUNTED_ROWS = 2_000_000
"""Flag states that the preview of a move reads while a person waits. More of them take longer than a few seconds."""

COUNT_SWITCH = f"""
SELECT count(*), count(*) FILTER (WHERE COALESCE(state.enabled, flag.enabled, FALSE) = %(enabled)s),
       count(*) FILTER (WHERE state.source_id = organization.id AND organization.id <> %(top)s)
  FROM orgs_organization organization
  LEFT JOIN flags_flag flag ON flag.key = %(flag)s
  LEFT JOIN flags_flagstate state ON state.organization_id = organization.id AND state.flag_id = flag.id
 WHERE {is_in_subtree("organization")}
"""  # noqa: S608 - no input in it


COUNT_MOVE = f"""
SELECT flag.key, value.enabled,
       count(*) FILTER (WHERE COALESCE(state.enabled, flag.enabled) <> value.enabled) AS changed,
       count(*) FILTER (WHERE state.source_id = organization.id) AS overwritten
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
class SwitchPreview:
    """What setting a flag on an organization would do in its subtree.

    `organizations` is the size of the subtree. `unchanged` of these organizations already have the value; an
    organization for which nobody set the flag has the flag's default. For `overwritten` organizations below, somebody
    has set the flag on the organization itself. `creates` is true if the flag does not exist yet; until then it is off.
    All figures count stored values. `off_for_everybody` says why the flag is off whatever its stored values are; it is
    empty if the stored values take effect. `near` is a sentence with the names of flags that are written nearly like
    the one that would be created.
    """

    organizations: int
    unchanged: int
    overwritten: int
    creates: bool
    off_for_everybody: str
    near: str

    @property
    def changed(self) -> int:
        """The number of organizations that would get another stored value."""
        return self.organizations - self.unchanged


def switch(organization: Organization, flag_key: str, *, enabled: bool, may_define: bool = True) -> SwitchPreview:
    """Preview setting a flag on an organization. The caller has just loaded it, so its tree columns are current.

    `may_define` is as for `set_flag`. Raises FlagNotFound, FlagArchived, FlagPurging, OutsideOfYourSubtree.
    """
    exists = set_flag.check_can_be_set(flag_key, organization.pk, may_define=may_define)
    parameters = {
        "enabled": enabled,
        "flag": flag_key,
        "top": organization.pk,
        **organization.subtree.parameters(),
    }
    with connection.cursor() as cursor:
        cursor.execute(COUNT_SWITCH, parameters)
        organizations, unchanged, overwritten = cursor.fetchone()
    off = selectors.why_off_for_everybody(flag_key)
    near = "" if exists else offer(flag_key)
    return SwitchPreview(organizations, unchanged, overwritten, not exists, off.detail if off else "", near)


def move(organization: Organization, parent: Organization | None) -> list[str]:
    """Preview a move below `parent`, or to a root: one sentence for each flag whose values the move would change."""
    if organization.parent_id == (parent.pk if parent else None):
        return ["The organization is already there."]
    former_ancestor_ids = tuple(path_ids_of(organization.pk)[:-1])
    placement = Placement(organization.pk, parent.pk if parent else None, former_ancestor_ids)
    values = inheritance.values_after_move(placement, number=MAX_ID)
    counted = values[: max(1, MAX_COUNTED_ROWS // organization.subtree.size)]
    changes = [row for row in _count_effects(organization.pk, counted) if row[2] or row[3]]
    described = changes[:MAX_DESCRIBED_FLAGS]
    off = selectors.off_for_everybody_among(key for key, *_ in described)
    sentences = [_sentence(*row, off[row[0]].detail if row[0] in off else "") for row in described]
    if len(changes) > MAX_DESCRIBED_FLAGS:
        sentences.append(f"The same happens to {_more_flags(len(changes) - MAX_DESCRIBED_FLAGS)}.")
    if len(values) > len(counted):
        sentences.append(f"{_more_flags(len(values) - len(counted))} would be written, too many to count here.")
    return sentences or ["No flag gets another value, and no value that was set is overwritten."]


def _count_effects(organization_id: int, values: list[StateValue]) -> list[tuple[str, bool, int, int]]:
    """For each flag: its key, its new value, the number of changed organizations, the number of overwritten values."""
    parameters: dict[str, Any] = {
        "top": organization_id,
        "flag_ids": [value.flag_id for value in values],
        "enabled": [value.enabled for value in values],
        "numbers": [value.number for value in values],
    }
    with connection.cursor() as cursor:
        cursor.execute(COUNT_MOVE, parameters)
        return cursor.fetchall()


def _sentence(flag_key: str, enabled: bool, changed: int, overwritten: int, off_for_everybody: str) -> str:
    organizations = "1 organization gets" if changed == 1 else f"{changed:,} organizations get"
    sentence = f"The stored value of {flag_key} becomes {'on' if enabled else 'off'}: {organizations} another value"
    if overwritten:
        values = "1 value that was" if overwritten == 1 else f"{overwritten:,} values that were"
        sentence += f"; {values} set there {'is' if overwritten == 1 else 'are'} overwritten"
    return f"{sentence}. It stays off for everybody: {off_for_everybody}" if off_for_everybody else f"{sentence}."


def _more_flags(count: int) -> str:
    return "1 more flag" if count == 1 else f"{count:,} more flags"
