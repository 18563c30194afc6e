"""Who asks for a flag: the organizations with most evaluations of it in the last days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta

from django.utils import timezone

from flags.definitions.models import Flag
from flags.insights import usage_store
from flags.insights.time_limit import rows_in_time
from orgs.access.caller import Caller
from orgs.tree.paths import path_names_of
from orgs.tree.subtrees import is_in_subtree, load_subtree

DAYS = 7
MAX_ASKERS = 10
ASKERS = """
WITH asked AS (
    SELECT used.organization_id,
           coalesce(sum(used.evaluations) FILTER (WHERE used.flag_id <> 0), 0)::bigint AS by_name,
           coalesce(sum(used.evaluations) FILTER (WHERE used.flag_id = 0), 0)::bigint AS with_all
      FROM flags_flaguseday used
      {scope}
     WHERE used.day >= %(first_day)s AND used.flag_id IN (%(flag)s, 0)
     GROUP BY used.organization_id)
SELECT organization_id, by_name, with_all, count(*) OVER () FROM asked
 ORDER BY by_name DESC, with_all DESC, organization_id LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Asker:
    """An organization, by its path, and the evaluations for it: of the flag by name, and of all flags together."""

    organization_id: int
    path: str
    by_name: int
    with_all: int


@dataclass(frozen=True, slots=True)
class Askers:
    """The organizations with most evaluations, and the number of all organizations with evaluations."""

    most: list[Asker]
    organizations: int


def askers_of(caller: Caller, flag: Flag) -> Askers | None:
    """Return who has asked for the flag in the last DAYS days, today included; None if there is too much to count.

    Evaluations of all flags count from the day on which the flag was created.
    """
    first_day = timezone.now().astimezone(UTC).date() - timedelta(days=DAYS - 1)
    beginning = usage_store.beginning_of(flag).astimezone(UTC).date()
    parameters = {"flag": flag.pk, "first_day": max(first_day, beginning), "limit": MAX_ASKERS}
    scope = ""
    if caller.organization_id is not None:
        subtree = load_subtree(caller.organization_id)
        if subtree is None:
            return Askers([], 0)
        parameters |= subtree.parameters()
        scope = f"JOIN orgs_organization place ON place.id = used.organization_id AND {is_in_subtree('place')}"
    rows = rows_in_time(ASKERS.format(scope=scope), parameters)
    if rows is None:
        return None
    paths = path_names_of([row[0] for row in rows], top_id=caller.organization_id)
    unknown = {0: ["no organization"]}
    return Askers(
        [Asker(row[0], " › ".join((unknown | paths).get(row[0], [f"{row[0]}, deleted"])), *row[1:3]) for row in rows],
        rows[0][3] if rows else 0,
    )
