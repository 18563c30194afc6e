"""Checks of what Flagsite stands on: settings, database, migrations, clock, broker."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import redis
from django.conf import settings
from django.core import checks
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from flags.schedules.backoff import MOST_RETRIES, USUAL_RETRIES, max_retries_is_in_range
from flagsite.health.doctor.findings import Finding, fine, problem, warning

OLDEST_POSTGRESQL = 14
OLDEST_REDIS = (6, 2)
SECONDS_OFF = 2.0
"""Difference between two clocks that people begin to notice."""
MANY_SECONDS_OFF = 60.0


def check_settings() -> Finding:
    """Django's own checks, in production those for deployment too, and values that do not go together."""
    found = checks.run_checks(include_deployment_checks=settings.PRODUCTION)
    errors = [one for one in found if one.level >= checks.ERROR]
    if errors:
        return problem("; ".join(f"{one.msg} ({one.id})" for one in errors), str(errors[0].hint or "Mend the setting."))
    if settings.JOB_SWEEP_SECONDS > settings.JOB_LEASE_SECONDS:
        return warning(
            f"Lost jobs are looked for every {settings.JOB_SWEEP_SECONDS:g} s, less often than a lease lasts "
            f"({settings.JOB_LEASE_SECONDS:g} s).",
            "Set JOB_SWEEP_SECONDS below JOB_LEASE_SECONDS.",
        )
    if settings.PRODUCTION and settings.JOBS_INLINE:
        return warning("Jobs run in the request (JOBS_INLINE): a big one blocks it.", "Unset JOBS_INLINE; run workers.")
    if not max_retries_is_in_range():
        return warning(
            f"FLAG_SCHEDULE_MAX_RETRIES is {settings.FLAG_SCHEDULE_MAX_RETRIES!r}; {USUAL_RETRIES} is used.",
            f"Set it to a whole number from 0 to {MOST_RETRIES}, or unset it.",
        )
    serious = [one for one in found if one.level >= checks.WARNING and one.id not in OWN_CHOICE]
    if serious:
        words = "; ".join(f"{one.id}: {str(one.msg).partition('.')[0]}" for one in serious)
        return warning(words, "See docs.djangoproject.com/en/stable/ref/checks/ for each.")
    return fine("Production settings." if settings.PRODUCTION else "Development settings.")


OWN_CHOICE = {"security.W004", "security.W008"}
"""HSTS and the redirect to https: settings with a reason in the README, often the proxy's part."""


def check_database() -> Finding:
    """Whether PostgreSQL answers, and is new enough."""
    began = time.monotonic()
    connection.ensure_connection()
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int / 10000, current_setting('server_version')")
        major, version = cursor.fetchone()
    words = f"PostgreSQL {version} answers after {1000 * (time.monotonic() - began):.0f} ms."
    if major < OLDEST_POSTGRESQL:
        return problem(words, f"Flagsite needs PostgreSQL {OLDEST_POSTGRESQL} or newer.")
    return fine(words)


def check_migrations() -> Finding:
    """Whether the tables are those of this version."""
    loader = MigrationLoader(connection)
    missing = sorted(".".join(key) for key in loader.graph.nodes if key not in loader.applied_migrations)
    if missing:
        more = " …" if missing[3:] else ""
        words = f"Migrations are not applied ({len(missing)}): {', '.join(missing[:3])}{more}."
        return problem(words, "Run bin/manage migrate.")
    known = loader.disk_migrations or {}
    newer = [".".join(key) for key in loader.applied_migrations if key not in known and key[0] in OUR_APPS]
    if newer:
        return warning(
            f"The database has migrations that this version does not know: {', '.join(newer)}.",
            "A newer version of Flagsite was at work here; run that one.",
        )
    return fine("All migrations are applied.")


OUR_APPS = {"orgs", "jobs", "flags"}


def check_clock() -> Finding:
    """Whether this machine's clock and the database's agree."""
    with connection.cursor() as cursor:
        before = datetime.now(UTC)
        cursor.execute("SELECT clock_timestamp()")
        theirs: datetime = cursor.fetchone()[0]
        after = datetime.now(UTC)
    off = abs((theirs - (before + (after - before) / 2)).total_seconds())
    if off > SECONDS_OFF:
        words = f"This machine's clock and the database's differ by {off:.1f} s."
        advice = "Synchronize both (NTP). Jobs go by the database's clock; keys expire by this machine's."
        return problem(words, advice) if off > MANY_SECONDS_OFF else warning(words, advice)
    return fine(f"This machine's clock and the database's differ by {1000 * off:.0f} ms.")


def check_broker() -> Finding:
    """Whether the Redis-protocol server answers, is new enough, and throws nothing away."""
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=3, socket_connect_timeout=3)
    try:
        began = time.monotonic()
        info = client.info()
        took = time.monotonic() - began
    except redis.RedisError as error:
        words = f"The broker does not answer: {str(error).partition(chr(10))[0]}"
        if settings.JOBS_INLINE:
            return warning(words, "Jobs run in the request and need none (JOBS_INLINE); requests are not limited.")
        return problem(
            words,
            "Start it, or mend REDIS_URL. No request is lost: jobs wait in the database, and begin within seconds "
            "after it is back.",
        )
    finally:
        client.close()
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version") or info["redis_version"])
    if tuple(int(part) for part in str(info["redis_version"]).split(".")[:2]) < OLDEST_REDIS:
        return problem(f"The broker is {name} {version}.", "Flagsite needs Redis 6.2 or newer, or Valkey.")
    if info.get("maxmemory") and info.get("maxmemory_policy") != "noeviction":
        return warning(
            f"The broker throws away keys when it is full ({info['maxmemory_policy']}).",
            "Set maxmemory-policy noeviction; wake-ups that are thrown away come up to 15 seconds later.",
        )
    return fine(f"{name} {version} answers after {1000 * took:.0f} ms.")
