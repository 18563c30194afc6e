"""Django: deleting rows by one statement, and the connection parameters that it gives to psycopg.

Why `QuerySet._raw_delete`: `QuerySet.delete` loads the rows, and rows of other tables that refer to them. The subtree
of an organization can have a million rows, and receivers of `organization_removing` delete the rows that refer to it.

Why `DatabaseWrapper.get_connection_params` (not documented for applications): beat's lock and the listener for change
notifications need connections of their own to Django's database, with the same address and credentials.

Why `DatabaseWrapper.settings_dict` (not documented as writable): a thread whose connection must not wait for a place in
the pool of a connection pooler connects to DATABASE_DIRECT_URL instead.

At an upgrade check: `_raw_delete(using)` runs one DELETE with the query's conditions and returns the number of rows;
`get_connection_params` returns keyword arguments of `psycopg.connect` from `settings_dict`, and Django adds no other
key to DJANGO_ONLY; every thread has a wrapper of its own, which reads `settings_dict` whenever it connects.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import connections
from django.db.models import QuerySet

DISTRIBUTION = "Django"
CHECKED_VERSION = "5.2.19"
DJANGO_ONLY = frozenset({"cursor_factory", "context"})
"""The parameters that only Django's own connections need."""


def delete_by_one_statement(rows: QuerySet[Any]) -> int:
    """Delete the rows without loading them, and return their number. Sends no signals and follows no relations."""
    return int(rows._raw_delete(rows.db))


def direct_parameters() -> dict[str, Any]:
    """Return the keyword arguments of `psycopg.connect` for a connection that keeps its session of PostgreSQL.

    They are those of DATABASE_DIRECT_URL if it is set, otherwise those of the default database.
    """
    return _parameters(_direct_settings(connections["default"].settings_dict))


def ordinary_parameters() -> dict[str, Any]:
    """Return the keyword arguments of `psycopg.connect` for a plain connection to the default database."""
    return _parameters(connections["default"].settings_dict)


def connect_directly() -> None:
    """Let this thread's connection to the default database go to DATABASE_DIRECT_URL, if it is set, from now on."""
    if settings.DATABASE_DIRECT:
        wrapper = connections["default"]
        wrapper.close()
        wrapper.settings_dict = _direct_settings(wrapper.settings_dict)


def _parameters(database: dict[str, Any]) -> dict[str, Any]:
    wrapper = connections.create_connection("default")
    wrapper.settings_dict = database
    parameters = wrapper.get_connection_params()
    return {name: value for name, value in parameters.items() if name not in DJANGO_ONLY}


def _direct_settings(ordinary: dict[str, Any]) -> dict[str, Any]:
    return {**ordinary, **(settings.DATABASE_DIRECT or {})}
