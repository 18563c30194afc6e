"""Django: deleting rows by one statement, and the connection parameters that it gives to psycopg.

Why `QuerySet._raw_delete`: `QuerySet.delete` loads the rows, and rows of other tables that refer to them. The subtree
of an organization can have a million rows, and receivers of `organization_removing` delete the rows that refer to it.

Why `DatabaseWrapper.get_connection_params` (not documented for applications): beat's lock and the listener for change
notifications need connections of their own to Django's database, with the same address and credentials.

At an upgrade check: `_raw_delete(using)` runs one DELETE with the query's conditions and returns the number of rows;
`get_connection_params` returns keyword arguments of `psycopg.connect`, and Django adds no other key to DJANGO_ONLY.
"""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.db.models import QuerySet

DISTRIBUTION = "Django"
CHECKED_VERSION = "5.2.19"
DJANGO_ONLY = frozenset({"cursor_factory", "context"})
"""The parameters that only Django's own connections need."""


def delete_by_one_statement(rows: QuerySet[Any]) -> int:
    """Delete the rows without loading them, and return their number. Sends no signals and follows no relations."""
    return int(rows._raw_delete(rows.db))


def psycopg_parameters() -> dict[str, Any]:
    """Return the keyword arguments of `psycopg.connect` for a plain connection to the default database."""
    parameters = connections["default"].get_connection_params()
    return {name: value for name, value in parameters.items() if name not in DJANGO_ONLY}
