"""The places in which variants of a flag are used, which keep somebody from removing them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any

from django.db import connection

from flags.definitions.models import Flag
from flags.errors import VariantInUse
from flags.states.models import FlagSetting
from flags.targeting.rules import served_keys
from jobs.engine.states import OPEN
from orgs.tree.subtrees import is_at_or_below

MOST_PLACES = 20
# Of a million changes of a flag, few have a job that is open. So the open jobs come first, each with its own changes.
UNDER_WAY = """
SELECT open.id FROM (
       SELECT DISTINCT COALESCE(parent_job_id, id) AS id FROM jobs_job WHERE status = ANY(%(open)s)) open, LATERAL (
       SELECT FROM flags_change change WHERE job_id = open.id AND flag_id = %(flag)s LIMIT 1) change
 ORDER BY open.id LIMIT %(most)s
"""
LAST_CHANGE = """
SELECT variant FROM unnest(%(variants)s::integer[]) AS removed (variant), LATERAL (  -- index change_to_variant
       SELECT number FROM flags_change change
        WHERE flag_id = %(flag)s AND change.variant = removed.variant AND change.variant > 0
        ORDER BY number DESC LIMIT 1) change
 ORDER BY number DESC LIMIT 1
"""
WORDS = {
    "setting": "the setting of the organization {organizationId}",
    "rule": "the targeting rule {ruleId!r}",
    "schedule": "the scheduled change {scheduleId}",
    "defaultVariant": "the default variant",
    "defaultRollout": "the default rollout",
    "offVariant": "the off variant",
    "prerequisite": "the flag {neededBy!r}, which needs it",
    "job": "the job {jobId}, which is under way",
    "state": "the organization {organizationId}, where a job has not replaced it",
}
# The organizations in whose subtree a job that was cancelled or has failed may have left something. Few jobs end so.
NOT_CARRIED = """
SELECT change.organization_id FROM (
       SELECT DISTINCT COALESCE(parent_job_id, id) AS id FROM jobs_job
        WHERE status IN ('FAILED', 'CANCELLED') OR failed > 0) ended, LATERAL (
       SELECT organization_id FROM flags_change WHERE job_id = ended.id AND flag_id = %(flag)s) change
 UNION SELECT organization_id FROM flags_change change  -- index partial_change
        WHERE flag_id = %(flag)s AND (is_partial OR is_partial IS NULL)
 ORDER BY 1
"""
LEFT = f"""
SELECT state.organization_id, state.variant
  FROM orgs_organization top
  JOIN orgs_organization organization ON {is_at_or_below("organization", top="top")}
  JOIN flags_flagstate state ON state.organization_id = organization.id AND state.flag_id = %(flag)s
 WHERE top.id = ANY(%(organizations)s) AND state.variant = ANY(%(numbers)s)
 GROUP BY state.organization_id, state.variant ORDER BY state.organization_id LIMIT %(most)s
"""  # noqa: S608 - no input in it


def check_unused(flag: Flag, removed: Mapping[str, int], *, leaves_wants: bool = False) -> None:
    """Refuse that variants are removed, given as their keys with their numbers, as long as something uses them.

    The flag in memory has the new definition. With `leaves_wants`, a flag that needs the variant is no use: the caller
    changes that flag too, and then calls `check_unwanted`. Raises VariantInUse.
    """
    if removed:
        wanted = () if leaves_wants else _wanted(flag, removed)
        _refuse(flag, chain(_places(flag, removed), wanted, _carried(flag, removed)))


def check_unwanted(flag: Flag, removed: Collection[str]) -> None:
    """Refuse that variants, given as their keys, have been removed if another flag needs them. Raises VariantInUse."""
    _refuse(flag, _wanted(flag, removed))


def _refuse(flag: Flag, uses: Iterable[dict[str, Any]]) -> None:
    places = list(islice(uses, MOST_PLACES))
    if not places:
        return
    named = ", ".join(f"{place['variant']!r} by {WORDS[place['place']].format(**place)}" for place in places)
    more = " and in more places" if len(places) == MOST_PLACES else ""
    error = VariantInUse(
        f"A variant cannot be removed while it is used: {named}{more}. Give these another variant first.", flag=flag.key
    )
    error.members["places"] = places
    raise error


def _places(flag: Flag, removed: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    for place, key in (("defaultVariant", flag.default_variant), ("offVariant", flag.off_variant)):
        if key in removed:
            yield {"place": place, "variant": key}
    for key in sorted(served_keys({"serve": flag.default_rollout})):
        if key in removed:
            yield {"place": "defaultRollout", "variant": key}
    yield from _in_rules(flag.targeting_rules, removed, place="rule")
    by_number = {number: key for key, number in removed.items()}
    settings = FlagSetting.objects.filter(flag=flag, variant__in=by_number).order_by("organization_id")
    for organization, number in settings.values_list("organization_id", "variant")[:MOST_PLACES]:
        yield {"place": "setting", "variant": by_number[number], "organizationId": organization}
    for schedule in flag.schedules.open().order_by("pk"):
        for key in sorted(set(_asked_for(schedule.wanted)) & removed.keys()):
            yield {"place": "schedule", "variant": key, "scheduleId": schedule.pk}


def _wanted(flag: Flag, removed: Collection[str]) -> Iterator[dict[str, Any]]:
    for needing in flag.dependents.order_by("key"):
        want = needing.prerequisite_wants.get(flag.key, {}).get("variant")
        if want in removed:
            yield {"place": "prerequisite", "variant": want, "neededBy": needing.key}


def _in_rules(rules: Any, removed: Mapping[str, int], **place: Any) -> Iterator[dict[str, Any]]:
    for rule in rules:
        for key in served_keys(rule):
            if key in removed:
                yield {**place, "variant": key, "ruleId": rule.get("id", "")}


def _asked_for(wanted: Mapping[str, Any]) -> Iterator[str]:
    """Return the keys of variants for which a scheduled change asks, of a definition or of a setting."""
    for name in ("variant", "defaultVariant", "offVariant"):
        if isinstance(wanted.get(name), str):
            yield wanted[name]
    yield from served_keys({"serve": wanted.get("defaultRollout")})
    for rule in wanted.get("rules") or ():
        yield from served_keys(rule)


def _carried(flag: Flag, removed: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """Return the jobs that still replace a variant in flag states, or carry it there, and flag states that kept it.

    A flag state keeps a variant if the job that had to replace it was cancelled or has failed there.
    """
    by_number = {number: key for key, number in removed.items()}
    last = _rows(LAST_CHANGE, variants=list(by_number), flag=flag.pk)
    if not last:
        return
    for (job_id,) in _rows(UNDER_WAY, open=sorted(OPEN), flag=flag.pk, most=MOST_PLACES):
        yield {"place": "job", "variant": by_number[last[0][0]], "jobId": job_id}
    tops = [organization for (organization,) in _rows(NOT_CARRIED, flag=flag.pk)]
    left = _rows(LEFT, flag=flag.pk, organizations=tops, numbers=list(by_number), most=MOST_PLACES) if tops else []
    for organization, number in left:
        yield {"place": "state", "variant": by_number[number], "organizationId": organization}


def _rows(statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall()
