"""Usage in PostgreSQL: written from the usage buffer once a minute, and read for adoption and stale flags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from flags.definitions.models import Flag
from flags.insights import usage_buffer
from flags.insights.models import EnvironmentUseDay, FlagUseDay, FlagUseTotal
from flags.insights.usage_buffer import OTHER_ENVIRONMENTS, BufferedUsage
from jobs.operations.cleanup import OldRows

ALL_FLAGS = 0
"""The flag id that stands for evaluations of all flags at once."""
BATCH_SIZE = 10_000
MAX_ENVIRONMENTS = 500
GIVEN = """
WITH given AS (
    SELECT coalesce(flag.id, 0) AS flag_id, coalesce(organization_id, 0) AS organization_id, evaluations,
           least(to_timestamp(at), now()) AS at
      FROM unnest(%(organizations)s::bigint[], %(keys)s::text[], %(evaluations)s::bigint[], %(times)s::bigint[])
           AS given(organization_id, flag_key, evaluations, at)
      LEFT JOIN flags_flag flag ON flag.key = flag_key
     WHERE flag_key IS NULL OR flag.id IS NOT NULL)
"""
ADD_USES = (
    GIVEN
    + """
INSERT INTO flags_flaguse AS known (flag_id, organization_id, evaluations, last_evaluated_at)
SELECT flag_id, organization_id, evaluations, at FROM given ORDER BY flag_id, organization_id
    ON CONFLICT (flag_id, organization_id) DO UPDATE
   SET evaluations = known.evaluations + excluded.evaluations,
       last_evaluated_at = greatest(known.last_evaluated_at, excluded.last_evaluated_at)
"""
)
ADD_DAYS = (
    GIVEN
    + """
INSERT INTO flags_flaguseday AS known (day, organization_id, flag_id, evaluations)
SELECT (at AT TIME ZONE 'UTC')::date AS day, organization_id, flag_id, sum(evaluations)
  FROM given GROUP BY day, organization_id, flag_id ORDER BY day, organization_id, flag_id
    ON CONFLICT (day, organization_id, flag_id) DO UPDATE SET evaluations = known.evaluations + excluded.evaluations
"""
)
ADD_ENVIRONMENTS = """
INSERT INTO flags_environmentuseday AS known (day, environment, evaluations)
SELECT (least(to_timestamp(at), now()) AT TIME ZONE 'UTC')::date AS day, environment, sum(evaluations)
  FROM unnest(%(names)s::text[], %(evaluations)s::bigint[], %(times)s::bigint[]) AS given(environment, evaluations, at)
 GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (day, environment) DO UPDATE SET evaluations = known.evaluations + excluded.evaluations
"""
DELETE_OLD_DAYS = """
DELETE FROM flags_flaguseday WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM flags_flaguseday WHERE day < %(first_kept)s ORDER BY day LIMIT %(limit)s))
"""
ADD_TOTALS = (
    GIVEN
    + """
INSERT INTO flags_flagusetotal AS known (flag_id, evaluations, first_evaluated_at, last_evaluated_at)
SELECT flag_id, sum(evaluations), min(at), max(at) FROM given GROUP BY flag_id ORDER BY flag_id
    ON CONFLICT (flag_id) DO UPDATE
   SET evaluations = known.evaluations + excluded.evaluations,
       last_evaluated_at = greatest(known.last_evaluated_at, excluded.last_evaluated_at)
"""
)


def store_buffered_usage() -> int:
    """Move the content of the usage buffer into the database; returns the number of (organization, flag) pairs.

    All pairs are written in one transaction, and leave the buffer after its commit. A crash in between loses nothing,
    but counts those evaluations twice; the times of the last evaluations are right in any case.
    """
    with usage_buffer.taken() as taken, transaction.atomic():
        uses = [use for use in taken if use.environment is None]
        for start in range(0, len(uses), BATCH_SIZE):
            _add(uses[start : start + BATCH_SIZE])
        _add_environments([use for use in taken if use.environment is not None])
    return len(uses)


def _add(uses: Sequence[BufferedUsage]) -> None:
    given: dict[str, Any] = {
        "organizations": [use.organization_id for use in uses],
        "keys": [use.flag_key for use in uses],
        "evaluations": [use.evaluations for use in uses],
        "times": [use.at for use in uses],
    }
    with connection.cursor() as cursor:
        cursor.execute(ADD_USES, given)
        cursor.execute(ADD_DAYS, given)
        cursor.execute(ADD_TOTALS, given)


def _add_environments(uses: Sequence[BufferedUsage]) -> None:
    """Add the evaluations in each environment to their day. New names beyond MAX_ENVIRONMENTS count as others."""
    known = set(EnvironmentUseDay.objects.values_list("environment", flat=True).distinct()) if uses else set()
    names = []
    for use in uses:
        name = use.environment or ""
        if name not in known and len(known) >= MAX_ENVIRONMENTS:
            name = OTHER_ENVIRONMENTS
        known.add(name)
        names.append(name)
    given: dict[str, Any] = {
        "names": names,
        "evaluations": [use.evaluations for use in uses],
        "times": [use.at for use in uses],
    }
    with connection.cursor() as cursor:
        cursor.execute(ADD_ENVIRONMENTS, given)


def first_kept_day(days: int | None = None) -> date:
    """Return the first day whose usage the clean-up keeps, by FLAG_USAGE_KEEP_DAYS or `days`."""
    kept = settings.FLAG_USAGE_KEEP_DAYS if days is None else days
    return timezone.now().astimezone(UTC).date() - timedelta(days=kept)


def old_days(days: int | None = None) -> QuerySet[FlagUseDay]:
    """Return the usage of the days that a clean-up would delete now."""
    return FlagUseDay.objects.filter(day__lt=first_kept_day(days))


def delete_old_days(_: int | None, days: int | None = None) -> tuple[int | None, int]:
    """Delete some rows of old days; for the clean-up. Returns None at the end, and the number of rows."""
    with connection.cursor() as cursor:
        cursor.execute(DELETE_OLD_DAYS, {"first_kept": first_kept_day(days), "limit": BATCH_SIZE})
        deleted = cursor.rowcount
    EnvironmentUseDay.objects.filter(day__lt=first_kept_day(days)).delete()
    return (1 if deleted == BATCH_SIZE else None), deleted


OLD_DAYS = OldRows("usageDays", lambda days: old_days(days).count(), delete_old_days)


@dataclass(frozen=True, slots=True)
class UsageCount:
    """A number of evaluations, and the time of the last one; None if there was none."""

    evaluations: int = 0
    last: datetime | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """A flag's usage: evaluations by its name, and evaluations of all flags together."""

    by_name: UsageCount = UsageCount()
    with_all: UsageCount = UsageCount()

    @property
    def last(self) -> datetime | None:
        """When the flag was evaluated last, in either way."""
        return max((count.last for count in (self.by_name, self.with_all) if count.last), default=None)


def usage_everywhere(flags: Iterable[Flag]) -> dict[int, Usage]:
    """Return the usage of each flag in all organizations together, by the flag's id, with one query.

    Evaluations of all flags that happened before a flag was created do not count for this flag.
    """
    flag_list = list(flags)
    rows = FlagUseTotal.objects.filter(flag_id__in=[*(flag.pk for flag in flag_list), ALL_FLAGS])
    counts = {row.flag_id: UsageCount(row.evaluations, row.last_evaluated_at) for row in rows}
    with_all = counts.get(ALL_FLAGS, UsageCount())
    return {flag.pk: Usage(counts.get(flag.pk, UsageCount()), _since_made(flag, with_all)) for flag in flag_list}


def _since_made(flag: Flag, with_all: UsageCount) -> UsageCount:
    return with_all if with_all.last is not None and with_all.last >= beginning_of(flag) else UsageCount()


def beginning_of(flag: Flag) -> datetime:
    """Return the time from which evaluations of all flags count for this flag. The buffer stores whole seconds."""
    return flag.created_at.replace(microsecond=0)
