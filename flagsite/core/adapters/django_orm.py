"""Django: deleting rows by one statement, and the connection parameters that it gives to psycopg.

Why `QuerySet._raw_delete`: `QuerySet.delete` loads the rows, and rows of other tables that refer to them. The subtree
of an organization can have a million rows, and receivers of `organizations_removing` delete the rows that refer to it.

Why `DatabaseWrapper.get_connection_params` (not documented for applications): beat's lock and the listener for change
notifications need connections of their own to Django's database, with the same address and credentials.

Why `DatabaseWrapper.settings_dict` (not documented as writable): a thread whose connection must not wait for a place in
the pool of a connection pooler connects to DATABASE_DIRECT_URL instead.

Why `DatabaseWrapper.close_at` (not documented): after a silence of the network, each thread has to replace its
connection before the next query, which could wait for an answer that never comes. Only its own thread may close one.

Why `Atomic._from_testcase` and `DatabaseWrapper.atomic_blocks` (not documented): code that has to open its transaction
itself refuses to run inside one. The transaction around a test does not count, as for `atomic(durable=True)`.

At an upgrade check: `_raw_delete(using)` runs one DELETE with the query's conditions and returns the number of rows;
`get_connection_params` returns keyword arguments of `psycopg.connect` from `settings_dict`, and Django adds no other
key to DJANGO_ONLY; `Atomic.__enter__` looks at `_from_testcase` of the blocks for `durable`; every thread has a wrapper
of its own, which reads `settings_dict` whenever it connects; `close_old_connections`, which Django calls at each
request, closes a connection once `time.monotonic()` has come to `close_at`; `connect` sets `close_at` anew.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet

DISTRIBUTION = "Django"
CHECKED_VERSION = "5.2.19"
DJANGO_ONLY = frozenset({"cursor_factory", "context"})
"""The parameters that only Django's own connections need."""
AT_ONCE = 0.0
_wrappers: WeakSet[BaseDatabaseWrapper] = WeakSet()


def delete_by_one_statement(rows: QuerySet[Any]) -> int:
    """Delete the rows without loading them, and return their number. Sends no signals and follows no relations."""
    return int(rows._raw_delete(rows.db))


def is_in_transaction() -> bool:
    """Return whether this thread is inside a transaction of the default database, other than that around a test."""
    blocks: list[Any] = connections["default"].atomic_blocks
    return any(not block._from_testcase for block in blocks)


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


def remember_connection(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Remember a new connection for `renew_connections` (a receiver of `connection_created`)."""
    _wrappers.add(connection)


def renew_connections() -> None:
    """Let each thread of this process replace its connection, at its next request or `replace_connection`."""
    for wrapper in tuple(_wrappers):
        wrapper.close_at = AT_ONCE


def replace_connection() -> None:
    """Close this thread's connection if it has to be replaced; not within a transaction."""
    wrapper = connections["default"]
    if wrapper.close_at == AT_ONCE and wrapper.connection is not None and not wrapper.in_atomic_block:
        wrapper.close()


def _parameters(database: dict[str, Any]) -> dict[str, Any]:
    wrapper = connections.create_connection("default")
    wrapper.settings_dict = database
    parameters = wrapper.get_connection_params()
    return {name: value for name, value in parameters.items() if name not in DJANGO_ONLY}


def _direct_settings(ordinary: dict[str, Any]) -> dict[str, Any]:
    return {**ordinary, **(settings.DATABASE_DIRECT or {})}
