"""Checks of the database: whether it is suitable, whether it has all migrations, whether changes are heard."""

from __future__ import annotations

import time

import psycopg
from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from flagsite.core.adapters.django_orm import direct_parameters, ordinary_parameters
from flagsite.core.db import requirements, sessions
from flagsite.core.db.requirements import DatabaseFacts
from flagsite.health.doctor.check_result import CheckResult, ok, problem, warning

SHORT_MILLISECONDS = 60_000
TIMEOUTS = ("statement_timeout", "transaction_timeout", "idle_in_transaction_session_timeout")
COLLATION_VERSIONS = """
SELECT datcollversion, pg_database_collation_actual_version(oid) FROM pg_database WHERE datname = current_database()
"""


def check_database() -> CheckResult:
    """Check that PostgreSQL answers, and that nothing about the database breaks a promise."""
    began = time.monotonic()
    try:
        connection.ensure_connection()
        facts = requirements.read_facts()
    except requirements.UnsuitableDatabase as error:
        return problem(error.fault.message, error.fault.advice)
    milliseconds = 1000 * (time.monotonic() - began)
    fault = requirements.find_fault(facts)
    if fault is not None:
        return problem(fault.message, fault.advice)
    pooler = " through a connection pooler" if facts.has_pooler else ""
    return _risk(facts) or ok(f"PostgreSQL {facts.version} answers{pooler} after {milliseconds:.0f} ms.")


def _risk(facts: DatabaseFacts) -> CheckResult | None:
    """What may harm later; None if nothing does."""
    unsafe = [name for name in ("fsync", "full_page_writes", "synchronous_commit") if facts.setting(name) == "off"]
    if unsafe and settings.PRODUCTION:
        return warning(
            f"PostgreSQL runs with {unsafe[0]} = off, so accepted changes can be lost when its machine fails.",
            f"Turn {unsafe[0]} on.",
        )
    short = [name for name in TIMEOUTS if 0 < int(facts.setting(name) or 0) < SHORT_MILLISECONDS]
    if short:
        return warning(
            f"{short[0]} is {int(facts.setting(short[0])) / 1000:g} s for this database and role. Imports, migrations "
            "and clean-ups that take longer fail.",
            f"Reset {short[0]} for the role of Flagsite; Flagsite limits its own statements.",
        )
    if facts.major_version >= 15:  # noqa: PLR2004 - the first that records the version
        with connection.cursor() as cursor:
            cursor.execute(COLLATION_VERSIONS)
            recorded, actual = cursor.fetchone()
        if recorded and actual and recorded != actual:
            return warning(
                f"The database's indexes were sorted by version {recorded} of its collation, but the operating system "
                f"has version {actual}, so a search by name or key may miss rows.",
                f'Run: REINDEX DATABASE "{facts.name}"; ALTER DATABASE "{facts.name}" REFRESH COLLATION VERSION.',
            )
    return None


def check_listener() -> CheckResult:
    """Check that a listener hears of changes, by sending one a message over the ordinary connection."""
    try:
        with (
            psycopg.connect(**direct_parameters(), autocommit=True) as session,
            psycopg.connect(**ordinary_parameters(), autocommit=True) as speaker,
        ):
            seconds = sessions.prove_session(session, speaker)
    except sessions.NoSession as error:
        consequence = "Evaluations are read from the database, up to two seconds old, and beat does not work."
        return problem(f"{error} {consequence}", error.advice)
    except psycopg.Error as error:
        name = "DATABASE_DIRECT_URL" if settings.DATABASE_DIRECT else "DATABASE_URL"
        message = str(error).strip().partition("\n")[0]
        return problem(f"A listener cannot connect: {message}", f"Correct {name}, or start its server.")
    return ok(f"Change notifications arrive after {1000 * seconds:.0f} ms.")


def check_migrations() -> CheckResult:
    """Check that the database has exactly the migrations of this version."""
    loader = MigrationLoader(connection)
    missing = sorted(".".join(key) for key in loader.graph.nodes if key not in loader.applied_migrations)
    if missing:
        more = " …" if missing[3:] else ""
        message = f"Migrations are not applied ({len(missing)}): {', '.join(missing[:3])}{more}."
        return problem(message, "Run bin/manage migrate.")
    known = loader.disk_migrations or {}
    newer = [".".join(key) for key in loader.applied_migrations if key not in known and key[0] in OUR_APPS]
    if newer:
        return warning(
            f"The database has migrations that this version does not know: {', '.join(newer)}.",
            "A newer version of Flagsite has migrated the database. Run that version.",
        )
    return ok("All migrations are applied.")


OUR_APPS = {"orgs", "jobs", "flags"}
