"""The ten statistics: what each of them counts, and the function that computes its points.

A point is a value with a label; `details` has further figures. The functions read counters where there are some, so
that no function reads all flag states, except the count of adoption, which counts them for itself and for other pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Count

from flags.definitions.models import Flag
from flags.insights import adoption_counts
from flags.insights.models import FlagAdoption
from flags.insights.staleness import StaleCause, with_staleness
from flags.insights.usage_buffer import OTHER_ENVIRONMENTS
from flags.insights.variant_shares import counted_variants
from flags.schedules.models import FlagSchedule
from orgs.tree.subtrees import level_of

MAX_POINTS = 100
MAX_NAMES = 20
"""Names of flags or actors in the details of a point."""
DAYS = 30
"""The period of the statistics that look back, except for evaluations."""
EVALUATION_DAYS = 90
NO_VALUE = "(no value)"
"""Stands for organizations without a value; no key of a variant has such characters."""
ENVIRONMENT_LABELS = {"": "no environment", OTHER_ENVIRONMENTS: "other environments"}
Points = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Figures:
    """A statistic: its name, what it shows, the unit of its values, and the function that computes its points."""

    name: str
    title: str
    shows: str
    unit: str
    compute: Callable[[], Points]


STATISTICS: dict[str, Figures] = {}


def _statistic(name: str, title: str, shows: str, unit: str) -> Callable[[Callable[[], Points]], Callable[[], Points]]:
    def register(compute: Callable[[], Points]) -> Callable[[], Points]:
        STATISTICS[name] = Figures(name, title, shows, unit, compute)
        return compute

    return register


def point(label: object, value: float, **details: Any) -> dict[str, Any]:
    """Return a point as JSON."""
    return {"label": str(label), "value": value, "details": details}


@_statistic(
    "adoption", "Adoption by flag", "The organizations for which each flag is on, largest first.", "organizations"
)
def adoption() -> Points:
    """Count the adoption of all flags anew, and return the flags with the largest."""
    adoption_counts.count_adoption()
    rows = (
        FlagAdoption.objects.filter(flag__archived=False).select_related("flag").order_by("-organizations_on", "flag")
    )
    return [
        point(
            row.flag.key,
            row.organizations_on,
            off=row.organizations_off,
            neverSet=row.unset,
            **({"variants": variants} if (variants := _by_variant(row)) else {}),
        )
        for row in rows[:MAX_POINTS]
    ]


def _by_variant(row: FlagAdoption) -> dict[str, int]:
    """Return the organizations by the word for their variant, of variants that somebody has. Empty for a boolean flag.

    As `organizations_on`, they follow the stored values.
    """
    shares = counted_variants(row.flag, row)
    had = sorted((share for share in shares if share.organizations), key=lambda share: -share.organizations)
    return {share.variant or NO_VALUE: share.organizations for share in had[:MAX_NAMES]}


@_statistic(
    "evaluations", "Evaluations by day", f"The evaluations of the last {EVALUATION_DAYS} days in UTC.", "evaluations"
)
def evaluations() -> Points:
    """Return the evaluations of each day, oldest first."""
    rows = _rows(
        "SELECT day, sum(evaluations)::bigint FROM flags_flaguseday WHERE day > current_date - %(days)s"
        " GROUP BY day ORDER BY day",
        days=EVALUATION_DAYS,
    )
    return [point(day, count) for day, count in rows]


@_statistic(
    "environments",
    "Evaluations by environment",
    f"The evaluations of the last {EVALUATION_DAYS} days, and the flags that the environment forces on or off.",
    "evaluations",
)
def environments() -> Points:
    """Return the environments of evaluations and of definitions, those with the most evaluations first."""
    rows = _rows(
        """
        WITH used AS (
            SELECT environment, sum(evaluations)::bigint AS evaluations FROM flags_environmentuseday
             WHERE day > current_date - %(days)s GROUP BY 1),
        forced AS (
            SELECT environment.key AS environment, count(*) FILTER (WHERE environment.value = 'true') AS turned_on,
                   count(*) FILTER (WHERE environment.value = 'false') AS turned_off
              FROM flags_flag flag CROSS JOIN jsonb_each(flag.environments) environment
             WHERE NOT flag.archived GROUP BY 1)
        SELECT environment, coalesce(evaluations, 0), coalesce(turned_on, 0), coalesce(turned_off, 0)
          FROM used FULL JOIN forced USING (environment) ORDER BY 2 DESC, 1 LIMIT %(most)s
        """,
        days=EVALUATION_DAYS,
    )
    return [point(ENVIRONMENT_LABELS.get(name, name), count, flagsOn=on, flagsOff=off) for name, count, on, off in rows]


@_statistic("stale-flags", "Stale flags", "The flags that you should remove from the code, by cause.", "flags")
def stale_flags() -> Points:
    """Return the number of flags for each cause; a flag can have several."""
    rows = with_staleness(Flag.objects.order_by("key")).filter(is_stale=True)
    causes: dict[str, list[str]] = {cause.value: [] for cause in StaleCause}
    for flag in rows.iterator():
        for cause, keys in causes.items():
            if getattr(flag, f"is_{cause}"):
                keys.append(flag.key)
    return [point(cause, len(keys), flags=keys[:MAX_NAMES]) for cause, keys in causes.items()]


@_statistic(
    "overrides", "Own values by level", "Values that were set on an organization itself, by its level.", "values"
)
def overrides() -> Points:
    """Return the number of flag states that were set on their organization itself; level 0 are roots.

    The changes tell which flag states these can be, so that no other flag state is read.
    """
    rows = _rows(
        f"""
        SELECT {level_of("organization")}, count(*), count(DISTINCT state.flag_id), count(DISTINCT organization.id)
          FROM (SELECT DISTINCT organization_id, flag_id FROM flags_change) changed
          JOIN flags_flagstate state
            ON state.organization_id = changed.organization_id AND state.flag_id = changed.flag_id
           AND state.source_id = state.organization_id
          JOIN orgs_organization organization ON organization.id = state.organization_id
         GROUP BY 1 ORDER BY 1
        """  # noqa: S608 - no input in it
    )
    return [point(f"level {level}", count, flags=flags, organizations=places) for level, count, flags, places in rows]


@_statistic("changes", "Changes by flag and actor", f"The changes of the last {DAYS} days, by flag.", "changes")
def changes() -> Points:
    """Return the flags with the most changes, each with the actors who made the most of them."""
    rows = _rows(
        """
        SELECT flag.key, change.requested_by, count(*)
          FROM flags_change change JOIN flags_flag flag ON flag.id = change.flag_id
         WHERE change.created_at > now() - %(days)s * interval '1 day' GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
        """,
        days=DAYS,
    )
    actors: dict[str, dict[str, int]] = {}
    for key, actor, count in rows:
        actors.setdefault(key, {})[actor or "unknown"] = count
    totals = sorted(((sum(counts.values()), key) for key, counts in actors.items()), key=lambda row: (-row[0], row[1]))
    return [point(key, total, actors=dict(list(actors[key].items())[:MAX_NAMES])) for total, key in totals[:MAX_POINTS]]


SIZES = ((10, "up to 10"), (100, "11 to 100"), (1_000, "101 to 1,000"), (10_000, "1,001 to 10,000"),
         (100_000, "10,001 to 100,000"))  # fmt: skip
LARGER = "more than 100,000"


@_statistic(
    "propagations", "Propagation times by size",
    f"The median time of the propagations of the last {DAYS} days, by the number of organizations.", "seconds",
)  # fmt: skip
def propagations() -> Points:
    """Return the median and the 95th percentile of the time from start to end, for each size."""
    rows = _rows(
        """
        SELECT width_bucket(total, %(bounds)s::bigint[]), count(*),
               percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (
                   ORDER BY extract(epoch FROM completed_at - started_at)::float)
          FROM jobs_job
         WHERE kind = 'propagation' AND ended_as = 'COMPLETED' AND total > 0
           AND completed_at > now() - %(days)s * interval '1 day'
         GROUP BY 1 ORDER BY 1
        """,
        days=DAYS,
        bounds=[bound + 1 for bound, _ in SIZES],
    )
    labels = [*(label for _, label in SIZES), LARGER]
    return [
        point(labels[size], round(median, 3), jobs=count, percentile95=round(high, 3))
        for size, count, (median, high) in rows
    ]


@_statistic("failures", "Failed attempts by kind", f"The attempts of the last {DAYS} days that failed.", "attempts")
def failures() -> Points:
    """Return the kinds of jobs with their failed attempts, and all attempts; kinds without a failure too."""
    rows = _rows(
        """
        SELECT kind, coalesce(sum(count) FILTER (WHERE outcome IN ('failed', 'retried')), 0)::bigint,
               coalesce(sum(count) FILTER (WHERE outcome <> 'manual_retry'), 0)::bigint,
               coalesce(sum(count) FILTER (WHERE outcome = 'failed'), 0)::bigint
          FROM jobs_jobtally WHERE hour > now() - %(days)s * interval '1 day'
         GROUP BY kind ORDER BY 2 DESC, 3 DESC, 1 LIMIT %(most)s
        """,
        days=DAYS,
    )
    return [point(kind, failed, attempts=every, forGood=for_good) for kind, failed, every, for_good in rows]


@_statistic("schedules", "Scheduled changes by status", "All scheduled changes that Flagsite still keeps.", "changes")
def schedules() -> Points:
    """Return the number of scheduled changes with each status, those without any too."""
    counts = dict(FlagSchedule.objects.order_by().values_list("status").annotate(Count("pk")))
    return [point(status.label, counts.get(status.value, 0)) for status in FlagSchedule.Status]


@_statistic("keys", "Access keys by last use", "The access keys that are neither revoked nor expired.", "keys")
def keys() -> Points:
    """Return the number of valid keys by the time of their last use."""
    (row,) = _rows(
        """
        SELECT count(*) FILTER (WHERE age < interval '1 day'),
               count(*) FILTER (WHERE age >= interval '1 day' AND age < interval '7 days'),
               count(*) FILTER (WHERE age >= interval '7 days' AND age < interval '30 days'),
               count(*) FILTER (WHERE age >= interval '30 days' AND age < interval '90 days'),
               count(*) FILTER (WHERE age >= interval '90 days'), count(*) FILTER (WHERE age IS NULL)
          FROM (SELECT now() - used.last_used_at AS age
                  FROM orgs_accesskey key LEFT JOIN orgs_accesskeyuse used ON used.access_key_id = key.id
                 WHERE NOT key.revoked AND (key.expiry_date IS NULL OR key.expiry_date > now())) ages
        """
    )
    labels = ("last day", "last 7 days", "last 30 days", "last 90 days", "longer ago", "never")
    return [point(label, count) for label, count in zip(labels, row, strict=True)]


def _rows(statement: str, **parameters: Any) -> Iterable[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"most": MAX_POINTS, **parameters})
        return cursor.fetchall()
