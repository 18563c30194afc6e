"""What Flagsite needs of its database, and words for a database that would break a promise.

Settings that PostgreSQL reports when a connection begins cost no query. Of these, each connection sets those that a
session may choose (CHOSEN), and refuses a server that nobody may write to. The others are queried at the start of a
process and by `doctor`. Django sets the client's encoding and the time zone of each connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.db import Error, NotSupportedError, OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper

MIN_POSTGRESQL_VERSION = 14
CHOSEN = {"DateStyle": "ISO, MDY", "IntervalStyle": "postgres", "standard_conforming_strings": "on"}
"""Settings that every connection has with these values, whatever the server's default is."""
NEEDED = {
    "default_transaction_isolation": ("read committed", "jobs that meet on the same rows would fail"),
    "default_transaction_read_only": ("off", "PostgreSQL would refuse every change"),
    "session_replication_role": ("origin", "the triggers that protect and announce changes would not run"),
}
"""Settings whose default must have this value, and what would happen otherwise."""
QUERY = """
SELECT current_database(), current_user, current_setting('server_version_num')::int / 10000,
       current_setting('server_version'), pg_is_in_recovery(), current_setting('server_encoding'),
       pg_backend_pid(), (SELECT json_object_agg(lower(name), json_build_array(reset_val, source)) FROM pg_settings)
"""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the database, in a sentence, and what to do."""

    message: str
    advice: str

    def __str__(self) -> str:
        return f"{self.message} {self.advice}"


class UnsuitableDatabase(OperationalError):
    """The database answers, but Flagsite cannot work with it. To callers it is as if the database were away."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """What the database says of itself. `settings` has the default and its source of each setting."""

    name: str
    user: str
    major_version: int
    version: str
    is_replica: bool
    encoding: str
    has_pooler: bool
    settings: dict[str, list[str]]

    def setting(self, name: str) -> str:
        """The default that the setting has for this database and role; empty if PostgreSQL does not know it."""
        return self.settings.get(name.lower(), [""])[0]


def read_facts() -> DatabaseFacts:
    """Read the facts with this thread's connection."""
    with connection.cursor() as cursor:
        cursor.execute(QUERY)
        name, user, major, version, is_replica, encoding, pid, settings = cursor.fetchone()
    has_pooler = pid != connection.connection.info.backend_pid
    return DatabaseFacts(name, user, major, version, is_replica, encoding, has_pooler, settings)


def find_fault(facts: DatabaseFacts) -> Fault | None:
    """Return the first reason not to work with the database; None if there is none."""
    if facts.major_version < MIN_POSTGRESQL_VERSION:
        return Fault(
            f"The server is PostgreSQL {facts.version}.",
            f"Flagsite needs PostgreSQL {MIN_POSTGRESQL_VERSION} or newer; upgrade the server.",
        )
    if facts.is_replica:
        return _replica()
    if facts.encoding != "UTF8":
        return _encoding(facts.encoding)
    for name, (value, consequence) in NEEDED.items():
        if facts.setting(name) != value:
            return Fault(
                f"The setting {name} of the database is {facts.setting(name)!r}, so {consequence}.",
                _how_to_set(facts, name, value),
            )
    if facts.has_pooler and facts.setting("IntervalStyle") != CHOSEN["IntervalStyle"]:
        return Fault(  # poolers do not carry it from one session to the next
            f"The setting IntervalStyle of the database is {facts.setting('IntervalStyle')!r}, and a connection pooler "
            "does not let Flagsite choose another.",
            _how_to_set(facts, "IntervalStyle", CHOSEN["IntervalStyle"]),
        )
    return None


def refuse_unsuitable_database() -> None:
    """Raise ImproperlyConfigured if Flagsite cannot work with the database; nothing while the database is away."""
    try:
        fault = find_fault(read_facts())
    except UnsuitableDatabase as error:
        fault = error.fault
    except NotSupportedError as error:  # by Django, which looks at the version
        fault = Fault(str(error), "Upgrade the server.")
    except Error:
        return
    finally:
        connection.close()
    if fault is not None:
        raise ImproperlyConfigured(f"Flagsite cannot work with this database. {fault}")


def prepare_connection(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Choose the settings of a new connection. Raises UnsuitableDatabase (a receiver of `connection_created`)."""
    session: psycopg.Connection[Any] = connection.connection
    reported = session.info.parameter_status
    fault = None
    if (encoding := reported("server_encoding")) not in {"UTF8", None}:
        fault = _encoding(str(encoding))
    elif "on" in {reported("in_hot_standby"), reported("default_transaction_read_only")}:
        fault = _read_only(session)
    if fault is not None:
        connection.close()
        raise UnsuitableDatabase(fault)
    for name, value in CHOSEN.items():
        if reported(name) not in {value, None}:
            session.execute("SELECT set_config(%s, %s, false)", [name, value])


def _read_only(session: psycopg.Connection[Any]) -> Fault | None:
    """Ask the server itself, as a connection pooler may report what was true a while ago."""
    row = session.execute("SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only')").fetchone()
    if row is not None and row[0]:
        return _replica()
    if row is not None and row[1] == "on":
        message = "The setting default_transaction_read_only of the database is on, so PostgreSQL refuses every change."
        return Fault(message, "Run: ALTER DATABASE … RESET default_transaction_read_only, or the same for the role.")
    return None


def _replica() -> Fault:
    return Fault(
        "The server is a replica (hot standby), so PostgreSQL refuses every change.",
        "Set DATABASE_URL to the primary server.",
    )


def _encoding(encoding: str) -> Fault:
    return Fault(
        f"The database has the encoding {encoding}, which cannot store every text.",
        "Create a database with the encoding UTF8 (CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0), and set "
        "DATABASE_URL to it.",
    )


def _how_to_set(facts: DatabaseFacts, name: str, value: str) -> str:
    source = facts.settings.get(name.lower(), ["", ""])[1]
    if source == "client":
        return "Remove it from the options of DATABASE_URL."
    owners = {
        "database": f'DATABASE "{facts.name}"',
        "user": f'ROLE "{facts.user}"',
        "database user": f'ROLE "{facts.user}" IN DATABASE "{facts.name}"',
    }
    if source in owners:
        return f"Run: ALTER {owners[source]} RESET {name}, and restart Flagsite."
    return f"Run: ALTER DATABASE \"{facts.name}\" SET {name} TO '{value}', and restart Flagsite."
