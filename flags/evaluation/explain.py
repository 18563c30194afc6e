"""Why a flag is on or off for somebody: the decision's steps, and what each organization on the path has said.

All of it is read from the database, in a number of queries that depends on nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import connection

from flags.definitions import loader
from flags.definitions.models import check_flag_key
from flags.errors import FlagNotFound
from flags.evaluation import context_loader
from flags.evaluation.engine import NO_ORGANIZATION, Decision, Definition, EvaluationContext, Rule, StateValue, evaluate
from jobs.engine.chains import chains_of
from jobs.engine.models import Job
from orgs.tree.paths import PATH, path_parameters

ASKS_ORGANIZATIONS = frozenset({Rule.ORGANIZATION, Rule.ROLLOUT})
"""Rules by which the organization's state, where there is one, has its say."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A decision, and what was asked."""

    definition: Definition
    decision: Decision
    context: EvaluationContext
    organization_id: int | None


@dataclass(frozen=True, slots=True)
class LatestChange:
    """What was asked for last on one organization."""

    number: int
    enabled: bool
    source_id: int
    job_id: int | None
    requested_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class PathEntry:
    """An organization on the path: its row for the flag, its latest change, and whether that is what holds."""

    id: int
    key: str
    name: str
    enabled: bool | None
    change_number: int | None
    source_id: int | None
    job_id: int | None
    updated_at: datetime | None
    change: LatestChange | None
    decides: bool = False
    why: str = ""


def check(*, key: str, organization_id: int | None, context: EvaluationContext) -> Checked:
    """Decide a flag; three queries at most.

    Raises InvalidFlagKey, FlagNotFound, OrganizationNotFound, TargetingKeyMissing.
    """
    check_flag_key(key)
    known = loader.load_definitions()
    if key not in known:
        raise FlagNotFound(f"There is no flag {key!r}.")
    place = NO_ORGANIZATION if organization_id is None else context_loader.load_context(organization_id)
    return Checked(known[key], evaluate(known[key], place, context, known), context, organization_id)


def explain_path(checked: Checked, *, top_id: int | None = None) -> list[PathEntry]:
    """The organizations from the root, or from `top_id` if that is above, down to the one that was asked for.

    Each with its latest change and whether that is what holds, or why it is not.
    """
    if checked.organization_id is None:
        return []
    links = _links(checked.organization_id, checked.definition.id, top_id)
    deciding = _deciding(links, checked.decision.state)
    on_their_way = [link.change for link in links if link.change and _is_newer(link.change, checked.decision.state)]
    jobs = _how_jobs_stand([change.job_id for change in on_their_way if change.job_id is not None])
    return [_judged(link, link.id == deciding, checked.decision, jobs) for link in links]


PATH_ENTRIES = f"""
WITH RECURSIVE {PATH}
SELECT path.id, path.key, path.name,
       state.enabled, state.change_number, state.source_id, state.job_id, state.updated_at,
       change.number, change.enabled, change.source_id, change.job_id, change.requested_by, change.created_at
  FROM path
  LEFT JOIN flags_flagstate state ON state.organization_id = path.id AND state.flag_id = %(flag)s
  LEFT JOIN LATERAL (  -- index change_on_organization
       SELECT * FROM flags_change WHERE organization_id = path.id AND flag_id = %(flag)s
        ORDER BY number DESC LIMIT 1) change ON TRUE
 ORDER BY path.distance DESC
"""  # noqa: S608 - no input in it


def _links(organization_id: int, flag_id: int, top_id: int | None) -> list[PathEntry]:
    with connection.cursor() as cursor:
        cursor.execute(PATH_ENTRIES, path_parameters([organization_id], top_id=top_id) | {"flag": flag_id})
        rows = cursor.fetchall()
    return [PathEntry(*(*row[:8], None if row[8] is None else LatestChange(*row[8:]))) for row in rows]


def _is_newer(change: LatestChange, state: StateValue | None) -> bool:
    """Whether the change is later than what holds; while a flag is set for the first time, nothing holds yet."""
    return state is None or change.number > state.number


def _deciding(links: Sequence[PathEntry], state: StateValue | None) -> int | None:
    """The organization whose change is what holds: the one that made it last, else the one the value comes from."""
    if state is None:
        return None
    numbered = [link.id for link in links if link.change and link.change.number == state.number]
    if numbered:
        return numbered[-1]
    return next((link.id for link in links if link.id == state.source_id), None)


def _how_jobs_stand(job_ids: Sequence[int]) -> dict[int, str]:
    """The status of each job's chain, by the id of the job."""
    jobs = list(Job.objects.filter(pk__in=job_ids)) if job_ids else []
    chains = chains_of(jobs) if jobs else {}
    return {job.pk: chains[job.root_id].status for job in jobs}


def _judged(link: PathEntry, is_deciding: bool, decision: Decision, jobs: dict[int, str]) -> PathEntry:
    decides = is_deciding and decision.rule in ASKS_ORGANIZATIONS
    words = [_why(link, is_deciding, decision.state)]
    if is_deciding and not decides:
        words.append(f"But the rule {decision.rule} decides before organizations are asked.")
    if link.change and _is_newer(link.change, decision.state):
        words.append(_on_its_way(link.change, jobs))
    return replace(link, decides=decides, why=" ".join(word for word in words if word))


def _why(link: PathEntry, is_deciding: bool, state: StateValue | None) -> str:
    if state is not None and is_deciding:
        return f"Its change {state.number} is what holds: {'on' if state.enabled else 'off'}."
    if link.change is None:
        return "Nobody set it here."
    if state is not None and link.change.number < state.number:
        later = f"the later change {state.number} on the organization {state.source_id}"
        return f"Its change {link.change.number} is superseded by {later}."
    return ""


def _on_its_way(change: LatestChange, jobs: dict[int, str]) -> str:
    wanted = f"Its change {change.number}, to {'on' if change.enabled else 'off'}, has not arrived"
    if change.job_id is None:
        return f"{wanted}."
    return f"{wanted}: job {change.job_id} is {jobs.get(change.job_id, 'gone')}."
