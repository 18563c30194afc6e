"""Figures of plans beside the settings: who has asked for the flags lately, and the jobs that are under way."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from flags.definitions.models import Flag
from flags.insights import time_limit
from flags.insights.time_limit import rows_in_time
from flags.insights.usage_store import beginning_of
from flags.states import propagation, recalculation
from flags.states.planning import FlagChanges
from jobs.imports import import_job
from jobs.tree_changes import deletion_job, move_job
from orgs.access.caller import Caller
from orgs.tree.subtrees import Subtree, is_at_or_below, is_in_subtree, start_of, subtrees_overlap

DAYS = 7
MAX_JOBS = 20
OF_TREES = [
    propagation.KIND, recalculation.KIND, move_job.KIND, deletion_job.KIND, import_job.KIND,
]  # fmt: skip
"""The kinds of jobs that change flag states or the tree."""
# The numbers at which organizations begin or cease to change are an array, in which a binary search finds the place of
# each organization.
ASKED = f"""
SELECT count(DISTINCT used.organization_id)
  FROM flags_flaguse used JOIN orgs_organization organization ON organization.id = used.organization_id
 WHERE used.flag_id = ANY(ARRAY[%(flag)s, 0]::bigint[]) AND used.last_evaluated_at >= %(since)s
   AND {is_in_subtree("organization")}
   AND (%(changes)s::boolean[])[width_bucket({start_of("organization")}, %(starts)s::bigint[])]
"""  # noqa: S608 - no input in it
MAX_COUNTED_FLAGS = 100
ASKED_ANYWHERE = """
SELECT count(DISTINCT organization_id) FROM flags_flaguse
 WHERE flag_id = ANY(ARRAY[%(flag)s, 0]::bigint[]) AND last_evaluated_at >= %(since)s AND organization_id <> 0
"""
UNDER_WAY = f"""
SELECT DISTINCT COALESCE(job.parent_job_id, job.id)
  FROM jobs_job job
  LEFT JOIN orgs_organization top ON top.id = %(top)s
  LEFT JOIN orgs_organization place ON place.id = job.organization_id
 WHERE job.status IN ('PENDING', 'IN_PROGRESS') AND job.kind = ANY(%(kinds)s)
   AND (%(top)s::bigint IS NULL OR job.organization_id IS NULL OR ({subtrees_overlap("place", "top")}))
   AND (%(scope)s::bigint IS NULL
        OR EXISTS (SELECT FROM orgs_organization scope
                    WHERE scope.id = %(scope)s AND {is_at_or_below("place", "scope")}))
   AND (%(flags)s::bigint[] IS NULL OR job.kind <> %(propagation)s
        OR EXISTS (SELECT FROM flags_change change
                    WHERE change.job_id = COALESCE(job.parent_job_id, job.id) AND change.flag_id = ANY(%(flags)s)))
 ORDER BY 1 LIMIT %(most)s
"""  # noqa: S608 - no input in it


@dataclass(frozen=True, slots=True)
class Figures:
    """What a plan tells beside the effect.

    `asked` has, for each flag by its id, how many of the organizations that get another value have asked for the flag
    in the last DAYS days; None if there was too much to count in `time_limit.COUNT_SECONDS`. `jobs` has the ids of open
    jobs that touch the subtree and the flags, and that the caller may see; MAX_JOBS at most.
    """

    asked: dict[int, int | None]
    jobs: list[int]

    def asked_for(self, flag_id: int) -> int | None:
        """Return the figure of one flag; None if it was not counted."""
        return self.asked.get(flag_id, 0)


def figures(
    caller: Caller, subtree: Subtree, changes: Sequence[FlagChanges], flag_ids: Sequence[int] | None
) -> Figures:
    """Return the figures of a plan whose caller sees the top of the subtree.

    `flag_ids` are the flags whose jobs count; None: those of all flags.
    """
    return Figures(_asked(changes), jobs_under_way(caller, subtree, flag_ids))


def figures_of_flag(caller: Caller, flag: Flag, *, changed: int) -> Figures:
    """Return the figures of a change of a definition, which concerns all organizations.

    Nobody knows which of them get another answer, so all that have asked for the flag count, unless none changes.
    """
    asked: int | None = 0
    if changed:
        rows = rows_in_time(ASKED_ANYWHERE, {"flag": flag.pk, "since": _since(flag)})
        asked = None if rows is None else min(int(rows[0][0]), changed)
    return Figures({flag.pk: asked}, jobs_under_way(caller, None, [flag.pk]))


def _since(flag: Flag) -> datetime:
    """Return the time from which evaluations count: DAYS days ago, or the creation of the flag."""
    return max(timezone.now() - timedelta(days=DAYS), beginning_of(flag))


def _asked(changes: Sequence[FlagChanges]) -> dict[int, int | None]:
    """Count for each flag, until the time for all of them together is over."""
    began = time.monotonic()
    asked: dict[int, int | None] = {each.flag.pk: None for each in changes}
    for each in changes[:MAX_COUNTED_FLAGS]:
        left = time_limit.COUNT_SECONDS - (time.monotonic() - began)
        if left <= 0:
            break
        asked[each.flag.pk] = _asked_for(each, left)
    return asked


def _asked_for(changes: FlagChanges, seconds: float) -> int | None:
    flag = changes.flag
    if not flag.pk or not any(is_changed for _, is_changed in changes.starts):
        return 0
    parameters = {
        "flag": flag.pk,
        "since": _since(flag),
        "starts": [start for start, _ in changes.starts],
        "changes": [is_changed for _, is_changed in changes.starts],
        **changes.subtree.parameters(),
    }
    rows = rows_in_time(ASKED, parameters, seconds=seconds)
    return None if rows is None else int(rows[0][0])


def jobs_under_way(caller: Caller, subtree: Subtree | None, flag_ids: Sequence[int] | None) -> list[int]:
    """Return the ids of the first open jobs that touch a subtree and flags, and that the caller may see.

    None instead of a subtree or of flags stands for all of them.
    """
    parameters = {
        "top": subtree.organization_id if subtree else None, "kinds": OF_TREES, "scope": caller.organization_id,
        "flags": None if flag_ids is None else list(flag_ids), "propagation": propagation.KIND, "most": MAX_JOBS,
    }  # fmt: skip
    return [row[0] for row in rows_in_time(UNDER_WAY, parameters) or []]
