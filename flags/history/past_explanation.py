"""Why a flag was on or off for somebody at a past moment: the same steps and the same path as for now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection

from flags.definitions.models import check_flag_key
from flags.evaluation.engine import NO_ORGANIZATION_CONTEXT, Definition, EvaluationContext, evaluate
from flags.evaluation.explain import Checked, LatestChange, OwnSetting, PathEntry, explained
from flags.history.causes import Cause, causes
from flags.history.moments import Moment
from flags.history.past_definitions import evaluated, past_definition
from flags.history.past_settings import PastPath, PastSetting, past_path
from flags.history.past_states import organization_context
from flags.values.served import name_of
from orgs.access.caller import Caller


@dataclass(frozen=True, slots=True)
class PastExplanation:
    """A past decision with the path, from the top that the caller may see, and what caused the value."""

    checked: Checked
    path: list[PathEntry]
    moment: Moment
    cause: Cause | None


LATEST_CHANGES = """
SELECT place.id, change.number, change.enabled, change.source_id, change.job_id, change.requested_by,
       change.created_at, change.variant
  FROM unnest(%(ids)s::bigint[]) AS place (id), LATERAL (  -- index change_on_organization
       SELECT * FROM flags_change
        WHERE organization_id = place.id AND flag_id = %(flag)s AND created_at <= %(at)s
        ORDER BY number DESC, id LIMIT 1) change
"""


def explain_then(
    caller: Caller, *, key: str, organization_id: int | None, context: EvaluationContext, moment: Moment
) -> PastExplanation:
    """Explain the evaluation of a flag as it was at a moment.

    Raises InvalidFlagKey, FlagNotFound, OrganizationNotFound, BeforeHistory, TargetingKeyMissing.
    """
    check_flag_key(key)
    definitions = past_definition(moment, key)
    known = evaluated(definitions)
    definition = known[key]
    if organization_id is None:
        decision = evaluate(definition, NO_ORGANIZATION_CONTEXT, context, known)
        return PastExplanation(Checked(definition, decision, context, None), [], moment, None)
    path = past_path(caller, organization_id, moment, flag_ids=[one.id for one in known.values()])
    organization = organization_context(path, known.values())
    decision = evaluate(definition, organization, context, known)
    checked = Checked(definition, decision, context, organization_id, organization)
    entries = [explained(entry, checked, None) for entry in _entries(path, definition)]
    return PastExplanation(checked, entries, moment, causes(path, [definition.id]).get(definition.id))


def _entries(path: PastPath, definition: Definition) -> list[PathEntry]:
    """Return the organizations of the path that the caller may see, each with its value, setting and latest change."""
    flag_id = definition.id
    own = {one.placed.organization_id: one for one in path.settings.get(flag_id, ())}
    above = len(path.places) - path.seen
    changes = _latest_changes(path, definition)
    entries = []
    for place, value in list(zip(path.places, path.decided_on_each(flag_id), strict=True))[above:]:
        entries.append(
            PathEntry(
                place.id, place.key, place.name, value.enabled, value.number or None, value.source_id, None, None,
                changes.get(place.id), _own(own.get(place.id), definition), is_gone=place.is_gone,
                variant=name_of(definition.variants, value.variant),
            )
        )  # fmt: skip
    return entries


def _own(setting: PastSetting | None, definition: Definition) -> OwnSetting | None:
    placed = setting.placed if setting else None
    if placed is None:
        return None
    variant = name_of(definition.variants, placed.variant)
    return OwnSetting(placed.kind, placed.enabled, placed.number, placed.only_here, variant)


def _latest_changes(path: PastPath, definition: Definition) -> dict[int, LatestChange]:
    parameters: dict[str, Any] = {"ids": list(path.seen_ids), "flag": definition.id, "at": path.moment.at}
    with connection.cursor() as cursor:
        cursor.execute(LATEST_CHANGES, parameters)
        rows = cursor.fetchall()
    return {row[0]: LatestChange(*(*row[1:-1], name_of(definition.variants, row[-1]))) for row in rows}
