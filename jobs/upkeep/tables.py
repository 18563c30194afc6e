"""The tables of this installation: their names, sizes, invalid indexes, and who may maintain them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from django.apps import apps

LARGE_BYTES = 8 * 2**20
"""From this size on, a table is large, and the maintenance rebuilds its indexes without being told its name."""
SIZES = """
SELECT table_oid.relname, pg_table_size(table_oid.oid), pg_indexes_size(table_oid.oid)
  FROM pg_class table_oid WHERE table_oid.oid = ANY(%s::regclass[]) ORDER BY table_oid.relname
"""
NOT_MAINTAINABLE = """
SELECT relname FROM pg_class
 WHERE oid = ANY(%s::regclass[])
   AND NOT (pg_has_role(relowner, 'USAGE')
            OR CASE WHEN current_setting('server_version_num')::int >= 170000
                    THEN has_table_privilege(oid, 'MAINTAIN') ELSE FALSE END)
 ORDER BY relname
"""
# REINDEX CONCURRENTLY builds a copy beside each index. If it is interrupted, the copy or the replaced index stays, is
# not valid, and is still written by each change of the table. The indexes of large values (TOAST) are among them.
LEFTOVERS = r"""
SELECT format('%%I.%%I', namespace.nspname, leftover.relname)
  FROM pg_class owner
  JOIN pg_index ON pg_index.indrelid IN (owner.oid, owner.reltoastrelid) AND NOT pg_index.indisvalid
  JOIN pg_class leftover ON leftover.oid = pg_index.indexrelid AND leftover.relname ~ '_cc(new|old)\d*$'
  JOIN pg_namespace namespace ON namespace.oid = leftover.relnamespace
 WHERE owner.oid = %s::regclass
 ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class TableSize:
    """The bytes of a table with its large values, and of all its indexes."""

    table: str
    table_bytes: int
    index_bytes: int

    @property
    def is_large(self) -> bool:
        return self.table_bytes + self.index_bytes >= LARGE_BYTES


def our_tables() -> list[str]:
    """Return the names of the tables of all models, in the order of the names."""
    models = apps.get_models(include_auto_created=True)
    return sorted({model._meta.db_table for model in models if model._meta.managed and not model._meta.proxy})


def sizes(session: psycopg.Connection[Any], tables: Sequence[str]) -> list[TableSize]:
    """Return the sizes of the tables, in the order of their names."""
    return [TableSize(*row) for row in session.execute(SIZES, [list(tables)])]


def not_maintainable(session: psycopg.Connection[Any], tables: Sequence[str]) -> list[str]:
    """Return the tables that the database user of the connection neither owns nor may maintain."""
    return [row[0] for row in session.execute(NOT_MAINTAINABLE, [list(tables)])]


def leftovers(session: psycopg.Connection[Any], table: str) -> list[str]:
    """Return the quoted names of the indexes that an interrupted rebuild of the table's indexes has left behind."""
    return [row[0] for row in session.execute(LEFTOVERS, [table])]
