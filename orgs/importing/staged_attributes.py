"""The attributes of an import: compare those of the file with the database, and write the ones that differ.

The temporary table `import_attributes` has a row for each attribute that the file changes: the value is null in SQL if
the own attribute goes, and `former` is null in SQL if there was none.
"""

from __future__ import annotations

from django.db import connection

from flagsite.core.db.streamed_rows import streamed
from orgs.attributes.attribute_rules import MAX_ATTRIBUTES
from orgs.importing.refusals import Refusals

HAS_ATTRIBUTES = "SELECT attributes IS NOT NULL FROM import_entries LIMIT 1"
"""Each row has attributes if the file has a column with them."""
COMPARE = """
INSERT INTO import_attributes
SELECT entry.line, resolved.reference, new.key, new.value->0, former.value
  FROM import_entries entry
  JOIN import_resolved resolved USING (line)
 CROSS JOIN LATERAL jsonb_each(entry.attributes) new
  LEFT JOIN orgs_organizationattribute former
    ON former.organization_id = resolved.reference AND former.name = new.key
 WHERE new.value->0 IS DISTINCT FROM former.value
"""
TOO_MANY = """
SELECT line FROM (
    SELECT line, reference,
           count(*) FILTER (WHERE former IS NULL) - count(*) FILTER (WHERE value IS NULL) AS more
      FROM import_attributes GROUP BY line, reference) added
 WHERE more > 0 AND more + (
       SELECT count(*) FROM orgs_organizationattribute WHERE organization_id = reference) > %s
 ORDER BY line
"""
HOLD = """
SELECT count(*) FROM (
    SELECT FROM orgs_organization WHERE id IN (SELECT reference FROM import_attributes)
     ORDER BY id FOR NO KEY UPDATE) held
"""
CHANGED = """
SELECT count(*)
  FROM import_attributes staged
  LEFT JOIN orgs_organizationattribute current
    ON current.organization_id = staged.reference AND current.name = staged.name
 WHERE current.value IS DISTINCT FROM staged.former
"""
REMOVE = """
DELETE FROM orgs_organizationattribute own USING import_attributes staged
 WHERE own.organization_id = staged.reference AND own.name = staged.name AND staged.value IS NULL
"""
WRITE = """
INSERT INTO orgs_organizationattribute (organization_id, name, value)
SELECT {organization}, staged.name, staged.value
  FROM import_attributes staged {created}
 WHERE staged.value IS NOT NULL
    ON CONFLICT (organization_id, name) DO UPDATE SET value = EXCLUDED.value
"""
TO_KNOWN = WRITE.format(organization="staged.reference", created="")
TO_ALL = WRITE.format(
    organization="COALESCE(created.id, staged.reference)",
    created="LEFT JOIN import_created created ON created.line = -staged.reference",
)
DIGEST = "SELECT count(*), sum(hashtextextended(staged::text, 0)::numeric) FROM import_attributes staged"


def compare(refusals: Refusals) -> None:
    """Find the attributes that the file changes, and refuse lines that give an organization too many."""
    with connection.cursor() as cursor:
        cursor.execute(HAS_ATTRIBUTES)
        if cursor.fetchone() != (True,):
            return
        cursor.execute(COMPARE)
        cursor.execute("CREATE INDEX ON import_attributes (line); ANALYZE import_attributes")
    for (line,) in streamed(TOO_MANY, [MAX_ATTRIBUTES]):
        refusals.add(line, f"The organization would have more than {MAX_ATTRIBUTES} attributes of its own.")


def hold() -> None:
    """Lock the organizations whose attributes change: nobody changes their attributes or deletes them."""
    with connection.cursor() as cursor:
        cursor.execute(HOLD)


def are_unchanged() -> bool:
    """Return whether the attributes that the file changes are as they were compared."""
    with connection.cursor() as cursor:
        cursor.execute(CHANGED)
        return bool(cursor.fetchone()[0] == 0)


def write(*, has_created: bool) -> None:
    """Write the attributes that differ; with `has_created`, those of organizations that the import has created too."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # else the commit would check them one by one
        cursor.execute(REMOVE)
        cursor.execute(TO_ALL if has_created else TO_KNOWN)
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def digest() -> str:
    """Return a text that differs if the attributes that change differ; empty if none changes."""
    with connection.cursor() as cursor:
        cursor.execute(DIGEST)
        number, content = cursor.fetchone()
    return f":{number}:{content}" if number else ""
