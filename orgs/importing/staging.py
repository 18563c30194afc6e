"""The temporary tables of an import: copy the file's rows into them, and compare them with the tree.

`import_entries` has the rows of the file. `import_resolved` has the organization of each row. A *reference* identifies
an organization there: the id of an existing organization, or the negative line number of a new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from django.db import connection

from flagsite.core.db.copy_in import copy_in
from flagsite.core.db.streamed_rows import streamed
from orgs.importing import staged_attributes
from orgs.importing.organization_rows import OrganizationRow
from orgs.importing.refusals import Refusals, quoted
from orgs.importing.value_effects import ValueEffects
from orgs.tree.subtrees import Subtree, is_in_subtree

TABLES = ("import_entries", "import_resolved", "import_attributes", "import_nodes", "import_created")


class LineChange(NamedTuple):
    """What a line of the file changes: an organization is created, renamed, moved, or both, or gets other attributes.

    `former_name` is empty unless it is renamed. `former_parent_key` is empty unless it is moved, or if it was a root.
    """

    line: int
    change: str
    key: str
    name: str
    former_name: str
    parent_key: str
    former_parent_key: str


class ImportReport(NamedTuple):
    """The number of created, renamed, moved and unchanged organizations; one organization can be renamed and moved.

    `attributes` is the number of organizations that get other attributes, those that are created among them.

    `placement_jobs` are the ids of the jobs that write flag states to created and moved organizations. `changes` has
    the first lines that change something; renames and moves come first. `values` is what the moves of a dry run would
    do to values; None otherwise, and if there is too much to count.
    """

    rows: int
    created: int
    renamed: int
    moved: int
    unchanged: int
    attributes: int = 0
    placement_jobs: tuple[int, ...] = ()
    changes: tuple[LineChange, ...] = ()
    values: ValueEffects | None = None

    @property
    def changing(self) -> int:
        """The number of lines that change something, or would change something."""
        return self.rows - self.unchanged


def execute(statement: str, parameters: Any = None) -> None:
    """Execute statements that return no rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def rows_of(query: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    """Return all rows of a query."""
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


CREATE_ENTRIES = """
SET LOCAL work_mem = '64MB';
CREATE TEMPORARY TABLE import_entries (line bigint, key text, name text, parent_key text, attributes jsonb)
    ON COMMIT DROP;
CREATE TEMPORARY TABLE import_attributes (line bigint, reference bigint, name text, value jsonb, former jsonb)
    ON COMMIT DROP
"""


def stage(rows: Iterable[OrganizationRow]) -> None:
    """Copy the rows of the file into the temporary table `import_entries`; `import_attributes` is empty at first."""
    execute(CREATE_ENTRIES)
    copy_in("COPY import_entries FROM STDIN", (_escaped(row) for row in rows))
    execute("ANALYZE import_entries")


def _escaped(row: OrganizationRow) -> str:
    """Return the row in COPY's text format; only a name can have tabs and line breaks."""
    line, key, name, parent_key, attributes = row
    if "\\" in name or not name.isprintable():
        for character, escape in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
            name = name.replace(character, escape)
    if "\\" in key or "\\" in parent_key:
        key, parent_key = key.replace("\\", "\\\\"), parent_key.replace("\\", "\\\\")
    attributes = attributes.replace("\\", "\\\\") if attributes else "\\N"
    return f"{line}\t{key}\t{name}\t{parent_key}\t{attributes}"


DUPLICATES = """
SELECT entry.line, entry.key, first.line
  FROM (SELECT key, min(line) AS line FROM import_entries GROUP BY key HAVING count(*) > 1) first
  JOIN import_entries entry ON entry.key = first.key AND entry.line > first.line
 ORDER BY entry.line
"""
DELETE_DUPLICATES = """
DELETE FROM import_entries entry
 USING (SELECT key, min(line) AS line FROM import_entries GROUP BY key HAVING count(*) > 1) first
 WHERE entry.key = first.key AND entry.line > first.line
"""


def refuse_duplicates(refusals: Refusals) -> None:
    """Refuse every line with the key of an earlier line, and delete it from the temporary table."""
    before = refusals.count
    for line, key, first in streamed(DUPLICATES):
        refusals.add(line, f"The key {quoted(key)} is already on line {first}.")
    if refusals.count > before:
        execute(DELETE_DUPLICATES)


RESOLVE = """
CREATE TEMPORARY TABLE import_resolved ON COMMIT DROP AS
SELECT found.*,
       former_id IS NOT NULL AND former_parent_id IS DISTINCT FROM parent_reference AS moved,
       former_name IS NOT NULL AS renamed,
       COALESCE(former_id = %(top)s, FALSE) AS is_top
  FROM (SELECT entry.line, COALESCE(organization.id, -entry.line) AS reference, organization.id AS former_id,
               CASE WHEN entry.parent_key <> '' THEN COALESCE(parent.id, -parent_entry.line)
                    WHEN organization.id = %(top)s THEN organization.parent_id  -- the top itself stays in its place
                    ELSE %(below)s::bigint END AS parent_reference,
               organization.parent_id AS former_parent_id, parent.id AS found_parent_id,
               CASE WHEN organization.name <> entry.name THEN organization.name END AS former_name,
               entry.parent_key <> '' AND parent.id IS NULL AND parent_entry.line IS NULL AS orphaned,
               {foreign} AS is_foreign,
               {outside} AS is_outside
          FROM import_entries entry
          LEFT JOIN orgs_organization organization ON organization.key = entry.key
          LEFT JOIN orgs_organization parent ON parent.key = entry.parent_key {visible}  -- no key is empty
          LEFT JOIN import_entries parent_entry ON parent_entry.key = entry.parent_key) found
"""
WITHOUT_TOP = RESOLVE.format(foreign="FALSE", outside="FALSE", visible="")
FOREIGN = f"organization.id IS NOT NULL AND NOT ({is_in_subtree('organization')})"
VISIBLE = f"AND {is_in_subtree('parent')}"
BELOW_TOP = RESOLVE.format(
    foreign=FOREIGN,
    outside="entry.parent_key = '' AND %(below)s::bigint IS NULL AND organization.id IS DISTINCT FROM %(top)s",
    visible=VISIBLE,
)
CHANGED = """
SELECT count(*)  -- for EXISTS, PostgreSQL would choose a plan that finds one row soon, and takes hours to find none
  FROM import_resolved resolved
  JOIN import_entries entry USING (line)
  LEFT JOIN orgs_organization organization ON organization.key = entry.key
  LEFT JOIN orgs_organization parent ON parent.key = entry.parent_key {visible}
 WHERE (organization.id, organization.parent_id, parent.id, {foreign},
        CASE WHEN organization.name <> entry.name THEN organization.name END)
    IS DISTINCT FROM (former_id, former_parent_id, found_parent_id, is_foreign, former_name)
"""
CHANGED_WITHOUT_TOP = CHANGED.format(foreign="FALSE", visible="")
CHANGED_BELOW_TOP = CHANGED.format(foreign=FOREIGN, visible=VISIBLE)
REFUSED = """
SELECT entry.line, entry.key, entry.parent_key, orphaned, is_foreign
  FROM import_resolved JOIN import_entries entry USING (line)
 WHERE orphaned OR is_foreign OR is_outside ORDER BY entry.line
"""


def resolve(refusals: Refusals, *, top: Subtree | None = None, below_id: int | None = None) -> None:
    """Find the organization and the parent of each row, and refuse every line whose parent does not exist.

    A parent can be in the file or in the database. With `top`, only organizations of this subtree exist for the import;
    a line with the key of another organization is refused. Rows without a parent are placed below `below_id`, if given.
    """
    parameters: dict[str, Any] = {"top": top.organization_id if top else None, "below": below_id}
    execute(BELOW_TOP if top else WITHOUT_TOP, parameters | (top.parameters() if top else {}))
    execute("ANALYZE import_resolved")
    for line, key, parent_key, orphaned, is_foreign in streamed(REFUSED):
        refusals.add(line, _problem(key, parent_key, orphaned=orphaned, is_foreign=is_foreign, has_top=top is not None))


def is_still_resolved(*, top: Subtree | None = None) -> bool:
    """Return whether a comparison would find the same again. `top` is the subtree as it is now."""
    return (
        staged_attributes.are_unchanged()
        and not rows_of(CHANGED_BELOW_TOP if top else CHANGED_WITHOUT_TOP, top.parameters() if top else None)[0][0]
    )


def _problem(key: str, parent_key: str, *, orphaned: bool, is_foreign: bool, has_top: bool) -> str:
    if is_foreign:
        return f"The key {quoted(key)} is taken. Choose another, for instance with a key prefix."
    if orphaned:
        where = "in your subtree" if has_top else "in the database"
        return f"The parent {quoted(parent_key)} does not exist, neither {where} nor in the file."
    return "It would be a root, outside of your subtree. Name a parent_key, or set the option below."


COUNT = """
SELECT count(*), count(*) FILTER (WHERE reference < 0), count(*) FILTER (WHERE renamed),
       count(*) FILTER (WHERE moved),
       count(*) FILTER (WHERE reference > 0 AND NOT renamed AND NOT moved AND attributed.line IS NULL),
       count(attributed.line)
  FROM import_resolved LEFT JOIN (SELECT DISTINCT line FROM import_attributes) attributed USING (line)
"""


def count() -> ImportReport:
    """Count the organizations to create, rename and move, and those with other attributes, without jobs."""
    return ImportReport(*rows_of(COUNT)[0])


CHANGES = """
SELECT resolved.line,
       CASE WHEN reference < 0 THEN 'create' WHEN moved AND renamed THEN 'move and rename' WHEN moved THEN 'move'
            WHEN renamed THEN 'rename' ELSE 'attributes' END AS change,
       entry.key, entry.name, COALESCE(former_name, '') AS former_name,
       COALESCE(NULLIF(entry.parent_key, ''), parent.key, '') AS parent_key,
       COALESCE(former_parent.key, '') AS former_parent_key
  FROM import_resolved resolved
  JOIN import_entries entry USING (line)
  LEFT JOIN orgs_organization parent
    ON entry.parent_key = '' AND NOT is_top AND parent.id = resolved.parent_reference
  LEFT JOIN orgs_organization former_parent ON moved AND former_parent.id = resolved.former_parent_id
 WHERE reference < 0 OR moved OR renamed OR line IN (SELECT line FROM import_attributes)
"""
"""The lines that change something, with the columns of LineChange. It gives the same rows before and after the change,
because an import changes no key. The parent of the top is not named, because it is outside of the subtree."""


DIGEST = f"SELECT count(*), sum(hashtextextended(changes::text, 0)::numeric) FROM ({CHANGES}) changes"  # noqa: S608


def changes_digest() -> str:
    """Return a text that differs if the lines that change something differ."""
    [(number, digest)] = rows_of(DIGEST)
    return f"{number}:{digest or 0}{staged_attributes.digest()}"


def first_changes(limit: int) -> tuple[LineChange, ...]:
    """Return the first `limit` lines that change something; renames and moves come before creations."""
    return tuple(LineChange(*row) for row in rows_of(f"{CHANGES} ORDER BY reference < 0, line LIMIT %s", [limit]))


def all_changes() -> Iterator[LineChange]:
    """Yield the lines that change something, in the order of the file."""
    return (LineChange(*row) for row in streamed(f"{CHANGES} ORDER BY line"))


def drop_tables() -> None:
    """Drop the temporary tables, so that another import can follow in the same transaction."""
    for table in TABLES:
        execute(f"DROP TABLE IF EXISTS pg_temp.{table}")
