"""The hourly count of adoption: the number of organizations with each flag on and off, and with each variant."""

from __future__ import annotations

from django.db import connection, transaction

from flags.values.variants import FIRST_CUSTOM_VALUE

BIGGEST = 5
"""The number of organizations with own values whose ids are stored, so that a page can name them."""
COUNT = """
WITH source AS (
    SELECT flag_id, enabled, source_id, count(*) AS organizations, max(updated_at) AS written_at
      FROM flags_flagstate GROUP BY flag_id, enabled, source_id),
-- a read of its own, into few groups, costs less than more groups above; without typed flags nothing is read
numbered AS (
    SELECT flag_id, least(variant, %(custom)s) AS number, count(*) AS organizations FROM flags_flagstate
     WHERE EXISTS (SELECT FROM flags_flag WHERE type <> 'boolean') AND enabled AND variant <> 0
     GROUP BY flag_id, least(variant, %(custom)s)),
on_number AS (
    SELECT flag_id, jsonb_object_agg(number, organizations) AS on_numbers FROM numbered GROUP BY flag_id),
side AS (
    SELECT flag_id, max(written_at) AS written_at,
           coalesce(sum(organizations) FILTER (WHERE enabled), 0)::bigint AS set_on,
           coalesce(sum(organizations) FILTER (WHERE NOT enabled), 0)::bigint AS set_off,
           count(*) FILTER (WHERE enabled) AS on_sources, count(*) FILTER (WHERE NOT enabled) AS off_sources,
           (array_agg(source_id ORDER BY organizations DESC, source_id) FILTER (WHERE enabled))[1:%(biggest)s]
               AS on_biggest,
           (array_agg(source_id ORDER BY organizations DESC, source_id) FILTER (WHERE NOT enabled))[1:%(biggest)s]
               AS off_biggest
      FROM source GROUP BY flag_id),
total AS (SELECT count(*) AS organizations FROM orgs_organization),
counted AS (
    SELECT flag.id AS flag_id, flag.enabled AS by_default, greatest(side.written_at, flag.created_at) AS written_at,
           coalesce(set_on, 0) AS set_on, coalesce(set_off, 0) AS set_off,
           greatest(total.organizations - coalesce(set_on, 0) - coalesce(set_off, 0), 0) AS unset,
           coalesce(on_sources, 0) AS on_sources, coalesce(off_sources, 0) AS off_sources,
           coalesce(on_biggest, '{}') AS on_biggest, coalesce(off_biggest, '{}') AS off_biggest,
           coalesce(on_numbers, '{}') AS on_numbers
      FROM flags_flag flag CROSS JOIN total LEFT JOIN side ON side.flag_id = flag.id
      LEFT JOIN on_number ON on_number.flag_id = flag.id),
valued AS (
    SELECT counted.*, CASE WHEN by_default THEN set_on + unset ELSE set_on END AS organizations_on,
           CASE WHEN by_default THEN set_off ELSE set_off + unset END AS organizations_off,
           CASE WHEN set_on = 0 AND set_off = 0 THEN by_default
                WHEN set_off = 0 AND (by_default OR unset = 0) THEN TRUE
                WHEN set_on = 0 AND (NOT by_default OR unset = 0) THEN FALSE END AS same_value
      FROM counted)
INSERT INTO flags_flagadoption AS known
       (flag_id, organizations_on, organizations_off, unset, on_sources, off_sources, on_biggest, off_biggest,
        on_numbers, same_value, same_since, counted_at)
SELECT flag_id, organizations_on, organizations_off, unset, on_sources, off_sources, on_biggest, off_biggest,
       on_numbers, same_value, CASE WHEN same_value IS NOT NULL THEN written_at END, now()
  FROM valued ORDER BY flag_id
    ON CONFLICT (flag_id) DO UPDATE
   SET organizations_on = excluded.organizations_on, organizations_off = excluded.organizations_off,
       unset = excluded.unset, on_sources = excluded.on_sources, off_sources = excluded.off_sources,
       on_biggest = excluded.on_biggest, off_biggest = excluded.off_biggest,
       on_numbers = excluded.on_numbers, same_value = excluded.same_value,
       -- rows are also written by what changes nothing: a new organization, the same value once more
       same_since = CASE WHEN known.same_value = excluded.same_value AND NOT EXISTS (
                                  SELECT FROM flags_change change
                                   WHERE change.flag_id = known.flag_id AND change.enabled <> known.same_value
                                     AND change.created_at > known.counted_at)
                         THEN known.same_since ELSE excluded.same_since END,
       counted_at = excluded.counted_at
"""
DELETE_ORPHANS = """
DELETE FROM flags_flaguse used
 WHERE used.organization_id <> 0 AND NOT EXISTS (SELECT FROM orgs_organization WHERE id = used.organization_id)
    OR used.flag_id <> 0 AND NOT EXISTS (SELECT FROM flags_flag WHERE id = used.flag_id);
DELETE FROM flags_flagusetotal total
 WHERE total.flag_id <> 0 AND NOT EXISTS (SELECT FROM flags_flag WHERE id = total.flag_id);
DELETE FROM flags_flagadoption adoption
 WHERE NOT EXISTS (SELECT FROM flags_flag WHERE id = adoption.flag_id);
"""
ADOPTION_LOCK = "SELECT pg_advisory_xact_lock(hashtext('flags.count_adoption'))"


def count_adoption() -> None:
    """Count every flag's adoption, and delete counts and usage of flags and organizations that no longer exist.

    The count reads all flag states, which takes about a third of a second for each million rows, and two thirds if
    there are flags with variants.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(ADOPTION_LOCK)
        cursor.execute(COUNT, {"biggest": BIGGEST, "custom": FIRST_CUSTOM_VALUE})
        cursor.execute(DELETE_ORPHANS)
