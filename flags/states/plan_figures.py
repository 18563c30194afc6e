"""Figures of plans beside the settings: who has asked for the flags lately, and the jobs that are under way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

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
# One lookup by primary key for each organization that changes and each flag, and one for evaluations of all flags. An
# array with all starts tells by a binary search whether an organization changes. Each flag has a stretch of numbers.
ASKED = f"""
SELECT flag.place, count(DISTINCT used.organization_id)
  FROM unnest(%(flags)s::bigint[], %(since)s::timestamptz[]) WITH ORDINALITY AS flag (id, since, place)
  JOIN flags_flaguse used ON used.flag_id IN (flag.id, 0) AND used.last_evaluated_at >= flag.since
  JOIN orgs_organization organization ON organization.id = used.organization_id
 WHERE {is_in_subtree("organization")}
   AND (%(changes)s::boolean[])[width_bucket(
           flag.place * %(stretch)s::numeric + {start_of("organization")}, %(starts)s::numeric[])]
 GROUP BY flag.place
"""  # noqa: S608 - no input in it
STRETCH = 10**20
"""More than any number of the nested set."""
UNDER_WAY = f"""
SELECT DISTINCT COALESCE(job.parent_job_id, job.id)
  FROM jobs_job job
  JOIN orgs_organization top ON top.id = %(top)s
  LEFT JOIN orgs_organization place ON place.id = job.organization_id
 WHERE job.status IN ('PENDING', 'IN_PROGRESS') AND job.kind = ANY(%(kinds)s)
   AND (job.organization_id IS NULL OR ({subtrees_overlap("place", "top")}))
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
    in the last DAYS days. It is None if there is too much to count. `jobs` has the ids of open jobs that touch the
    subtree and the flags, and that the caller may see; MAX_JOBS at most.
    """

    asked: dict[int, int] | None
    jobs: list[int]

    def asked_for(self, flag_id: int) -> int | None:
        """Return the figure of one flag; None if it was not counted."""
        return None if self.asked is None else self.asked.get(flag_id, 0)


def figures(
    caller: Caller, subtree: Subtree, changes: Sequence[FlagChanges], flag_ids: Sequence[int] | None
) -> Figures:
    """Return the figures of a plan whose caller sees the top of the subtree.

    `flag_ids` are the flags whose jobs count; None: those of all flags.
    """
    return Figures(_asked(subtree, changes), jobs_under_way(caller, subtree, flag_ids))


def _asked(subtree: Subtree, changes: Sequence[FlagChanges]) -> dict[int, int] | None:
    counted = [each for each in changes if each.flag.pk and any(is_changed for _, is_changed in each.starts)]
    if not counted:
        return {}
    week = timezone.now() - timedelta(days=DAYS)
    parameters = {
        "flags": [each.flag.pk for each in counted],
        "since": [max(week, beginning_of(each.flag)) for each in counted],
        "starts": [place * STRETCH + start for place, each in enumerate(counted, 1) for start, _ in each.starts],
        "changes": [is_changed for each in counted for _, is_changed in each.starts],
        "stretch": STRETCH,
        **subtree.parameters(),
    }
    rows = rows_in_time(ASKED, parameters)
    return None if rows is None else {counted[place - 1].flag.pk: count for place, count in rows}


def jobs_under_way(caller: Caller, subtree: Subtree, flag_ids: Sequence[int] | None) -> list[int]:
    """Return the ids of the first open jobs that touch a subtree and flags, and that the caller may see."""
    parameters = {
        "top": subtree.organization_id, "kinds": OF_TREES, "scope": caller.organization_id,
        "flags": None if flag_ids is None else list(flag_ids), "propagation": propagation.KIND, "most": MAX_JOBS,
    }  # fmt: skip
    return [row[0] for row in rows_in_time(UNDER_WAY, parameters) or []]
