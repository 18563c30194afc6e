"""The temporary tables of an import: copy the file's rows into them, and compare them with the tree.

`import_entries` has the rows of the file. `import_resolved` has the organization of each row. A *reference* identifies
an organization there: the id of an existing organization, or the negative line number of a new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from django.db import connection

from flagsite.core.db.copy_in import BLOCK_SIZE, copy_in
from orgs.csv_import.csv_file import CsvRow, Refusals, quoted

TABLES = ("import_entries", "import_resolved", "import_nodes", "import_created")


class Example(NamedTuple):
    """A line of a file that would change something."""

    line: int
    does: str
    key: str
    name: str


class ImportReport(NamedTuple):
    """The number of created, renamed, moved and unchanged organizations; one organization can be renamed and moved.

    `placement_jobs` are the ids of the jobs that write flag states to created and moved organizations. A dry run has
    `examples` instead: the first lines that would change something.
    """

    rows: int
    created: int
    renamed: int
    moved: int
    unchanged: int
    placement_jobs: tuple[int, ...] = ()
    examples: tuple[Example, ...] = ()

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


def streamed(query: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a query that can have millions of rows, fetched block by block."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(query)
        while block := cursor.fetchmany(BLOCK_SIZE):
            yield from block


CREATE_ENTRIES = """
SET LOCAL work_mem = '64MB';
CREATE TEMPORARY TABLE import_entries (line bigint, key text, name text, parent_key text) ON COMMIT DROP
"""


def stage(rows: Iterable[CsvRow]) -> None:
    """Copy the rows of the file into the temporary table `import_entries`."""
    execute(CREATE_ENTRIES)
    copy_in("COPY import_entries FROM STDIN", (_escaped(row) for row in rows))
    execute("ANALYZE import_entries")


def _escaped(row: CsvRow) -> str:
    """Return the row in COPY's text format; only a name can have tabs and line breaks."""
    line, key, name, parent_key = row
    if "\\" in name or not name.isprintable():
        for character, escape in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
            name = name.replace(character, escape)
    if "\\" in key or "\\" in parent_key:
        key, parent_key = key.replace("\\", "\\\\"), parent_key.replace("\\", "\\\\")
    return f"{line}\t{key}\t{name}\t{parent_key}"


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
SELECT entry.line, COALESCE(organization.id, -entry.line) AS reference,
       COALESCE(parent.id, -parent_entry.line) AS parent_reference,
       organization.parent_id AS former_parent_id,
       organization.id IS NOT NULL
         AND organization.parent_id IS DISTINCT FROM COALESCE(parent.id, -parent_entry.line) AS moved,
       COALESCE(organization.name <> entry.name, FALSE) AS renamed,
       entry.parent_key <> '' AND parent.id IS NULL AND parent_entry.line IS NULL AS orphaned
  FROM import_entries entry
  LEFT JOIN orgs_organization organization ON organization.key = entry.key
  LEFT JOIN orgs_organization parent ON parent.key = entry.parent_key  -- no organization has the empty key
  LEFT JOIN import_entries parent_entry ON parent_entry.key = entry.parent_key
"""
ORPHANS = """
SELECT entry.line, entry.parent_key FROM import_resolved JOIN import_entries entry USING (line)
 WHERE orphaned ORDER BY entry.line
"""


def resolve(refusals: Refusals) -> None:
    """Find the organization and the parent of each row, and refuse every line whose parent does not exist.

    A parent can be in the file or in the database.
    """
    execute(RESOLVE)
    execute("ANALYZE import_resolved")
    for line, key in streamed(ORPHANS):
        refusals.add(line, f"The parent {quoted(key)} does not exist, neither in the database nor in the file.")


COUNT = """
SELECT count(*), count(*) FILTER (WHERE reference < 0), count(*) FILTER (WHERE renamed),
       count(*) FILTER (WHERE moved), count(*) FILTER (WHERE reference > 0 AND NOT renamed AND NOT moved)
  FROM import_resolved
"""


def count() -> ImportReport:
    """Count the organizations to create, rename and move, without jobs."""
    return ImportReport(*rows_of(COUNT)[0])


EXAMPLES = """
SELECT line, CASE WHEN reference < 0 THEN 'create' WHEN moved AND renamed THEN 'move and rename' WHEN moved THEN 'move'
             ELSE 'rename' END, entry.key, entry.name
  FROM import_resolved JOIN import_entries entry USING (line)
 WHERE reference < 0 OR moved OR renamed ORDER BY line
"""


def examples(limit: int) -> tuple[Example, ...]:
    """Return the first `limit` lines that would change something."""
    return tuple(Example(*row) for row in rows_of(f"{EXAMPLES} LIMIT %s", [limit]))


def all_examples() -> Iterator[Example]:
    """Yield the lines that would change something, in the order of the file."""
    return (Example(*row) for row in streamed(EXAMPLES))


def drop_tables() -> None:
    """Drop the temporary tables, so that another import can follow in the same transaction."""
    for table in TABLES:
        execute(f"DROP TABLE IF EXISTS pg_temp.{table}")
