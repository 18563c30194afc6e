"""The figures of a page of the list of flags: share, last change, last evaluation, and whether a flag is stale.

The cost does not grow with the number of organizations: shares come from the hourly count. For a person with a scope,
they are counted, if the scope is small.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from flags.definitions.models import Flag
from flags.evaluation.effective_value import EffectiveValue
from flags.insights import staleness, usage_store
from flags.insights.flag_tree import Totals, totals_of
from flags.insights.models import FlagAdoption
from flags.insights.time_limit import rows_in_time
from flags.insights.variant_shares import NUMBER, served_to_all, variant_shares
from flags.states import selectors
from orgs.access.caller import Caller
from orgs.tree.subtrees import is_in_subtree, load_subtree

MAX_COUNTED = 2_000
"""Organizations of a scope that a list counts for each of its flags."""
COUNT_OF_SCOPE = f"""
SELECT state.flag_id, {NUMBER}, count(*) FILTER (WHERE state.enabled), count(*)
  FROM orgs_organization place, LATERAL (
       SELECT flag_id, enabled, variant FROM flags_flagstate
        WHERE organization_id = place.id AND flag_id = ANY(%(flags)s) AND enabled IS NOT NULL OFFSET 0) state
 WHERE {is_in_subtree("place")} GROUP BY state.flag_id, {NUMBER}
"""  # noqa: S608 - no input in it
LAST_CHANGES = """
SELECT flag.id, last.created_at, last.requested_by
  FROM unnest(%(flags)s::bigint[]) flag(id), LATERAL (
       SELECT created_at, requested_by FROM flags_change WHERE flag_id = flag.id ORDER BY number DESC LIMIT 1) last
"""


@dataclass(frozen=True, slots=True)
class LastChange:
    """When a flag was changed last, its definition or its value somewhere, and by whom; empty if nobody knows."""

    at: datetime
    by: str = ""


@dataclass(frozen=True, slots=True)
class ListFigures:
    """The figures of one flag. `share` is None if it is not counted, `asked` if nobody has evaluated the flag."""

    share: Totals | None
    changed: LastChange
    asked: datetime | None
    stale: Sequence[str]
    """The reasons why the flag is stale, as sentences."""


def figures_of(caller: Caller, flags: Sequence[Flag]) -> dict[int, ListFigures]:
    """Return the figures of these flags by id, with as many queries for many flags as for few.

    A person with a scope gets no figures of all organizations: neither the last evaluation nor changes of others.
    """
    if not flags:
        return {}
    sees_all = caller.organization_id is None
    usage = usage_store.usage_everywhere(flags) if sees_all else {}
    marked = staleness.with_staleness(Flag.objects.filter(pk__in=[flag.pk for flag in flags]))
    marked = marked.filter(is_stale=True).select_related("adoption")
    stale = {flag.pk: [each.words for each in staleness.reasons_of(flag, usage.get(flag.pk))] for flag in marked}
    off = selectors.off_for_everybody_among(flag.key for flag in flags)
    shares = _shares_everywhere(flags, off) if sees_all else _shares_in_scope(caller, flags, off)
    changes = _last_changes(flags) if sees_all else {}
    return {
        flag.pk: ListFigures(
            shares.get(flag.pk),
            changes.get(flag.pk, LastChange(flag.updated_at)),
            usage[flag.pk].last if sees_all else None,
            stale.get(flag.pk, []),
        )
        for flag in flags
    }


def _shares_everywhere(flags: Sequence[Flag], off: Mapping[str, EffectiveValue]) -> dict[int, Totals]:
    counts = {count.flag_id: count for count in FlagAdoption.objects.filter(flag__in=flags)}
    return {flag.pk: totals_of(flag, counts[flag.pk], off.get(flag.key)) for flag in flags if flag.pk in counts}


def _shares_in_scope(caller: Caller, flags: Sequence[Flag], off: Mapping[str, EffectiveValue]) -> Mapping[int, Totals]:
    scope = load_subtree(caller.organization_id or 0)
    if scope is None or scope.size > MAX_COUNTED:
        return {}
    rows = rows_in_time(COUNT_OF_SCOPE, {"flags": [flag.pk for flag in flags], **scope.parameters()})
    if rows is None:
        return {}
    shares = {}
    for flag in flags:
        counts = [(number, on, written) for flag_id, number, on, written in rows if flag_id == flag.pk]
        numbers_on = {number: on for number, on, _ in counts}
        written = sum(organizations for _, _, organizations in counts)
        on = sum(numbers_on.values()) + (scope.size - written if flag.enabled else 0)
        stopped = off.get(flag.key)
        to_all = served_to_all(stopped)
        variants = variant_shares(flag, on=on, off=scope.size - on, numbers_on=numbers_on, for_everybody=to_all)
        on = 0 if stopped else on
        shares[flag.pk] = Totals(on, scope.size - on, variants=variants)
    return shares


def _last_changes(flags: Sequence[Flag]) -> dict[int, LastChange]:
    parameters: dict[str, Any] = {"flags": [flag.pk for flag in flags]}
    with connection.cursor() as cursor:
        cursor.execute(LAST_CHANGES, parameters)
        found = {flag_id: LastChange(at, by) for flag_id, at, by in cursor.fetchall()}
    definitions = {flag.pk: LastChange(flag.updated_at, flag.updated_by) for flag in flags}
    return {pk: max(one, found.get(pk, one), key=lambda change: change.at) for pk, one in definitions.items()}
