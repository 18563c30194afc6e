"""Checks of what Flagsite runs on: settings, database, migrations, clock, broker."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import redis
from django.conf import settings
from django.core import checks
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from flags.schedules.backoff import DEFAULT_MAX_RETRIES, MAX_RETRIES_LIMIT, max_retries_is_in_range
from flagsite.health.doctor.check_result import CheckResult, ok, problem, warning

OLDEST_POSTGRESQL = 14
OLDEST_REDIS = (6, 2)
CLOCK_WARNING_SECONDS = 2.0
"""A difference between two clocks that people begin to notice."""
CLOCK_PROBLEM_SECONDS = 60.0


def check_settings() -> CheckResult:
    """Django's own checks, in production those for deployment too, and values that do not go together."""
    messages = checks.run_checks(include_deployment_checks=settings.PRODUCTION)
    errors = [message for message in messages if message.level >= checks.ERROR]
    if errors:
        return problem(
            "; ".join(f"{error.msg} ({error.id})" for error in errors), str(errors[0].hint or "Mend the setting.")
        )
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
            f"FLAG_SCHEDULE_MAX_RETRIES is {settings.FLAG_SCHEDULE_MAX_RETRIES!r}; {DEFAULT_MAX_RETRIES} is used.",
            f"Set it to a whole number from 0 to {MAX_RETRIES_LIMIT}, or unset it.",
        )
    warnings = [found for found in messages if found.level >= checks.WARNING and found.id not in OWN_CHOICE]
    if warnings:
        summary = "; ".join(f"{found.id}: {str(found.msg).partition('.')[0]}" for found in warnings)
        return warning(summary, "See docs.djangoproject.com/en/stable/ref/checks/ for each.")
    return ok("Production settings." if settings.PRODUCTION else "Development settings.")


OWN_CHOICE = {"security.W004", "security.W008"}
"""Django's warnings about HSTS and the redirect to https: the README explains both, and a proxy often does them."""


def check_database() -> CheckResult:
    """Whether PostgreSQL answers, and is new enough."""
    began = time.monotonic()
    connection.ensure_connection()
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int / 10000, current_setting('server_version')")
        major, version = cursor.fetchone()
    message = f"PostgreSQL {version} answers after {1000 * (time.monotonic() - began):.0f} ms."
    if major < OLDEST_POSTGRESQL:
        return problem(message, f"Flagsite needs PostgreSQL {OLDEST_POSTGRESQL} or newer.")
    return ok(message)


def check_migrations() -> CheckResult:
    """Whether the database has exactly the migrations of this version."""
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
            "A newer version of Flagsite was at work here; run that one.",
        )
    return ok("All migrations are applied.")


OUR_APPS = {"orgs", "jobs", "flags"}


def check_clock() -> CheckResult:
    """Whether this machine's clock and the database's agree."""
    with connection.cursor() as cursor:
        before = datetime.now(UTC)
        cursor.execute("SELECT clock_timestamp()")
        database_time: datetime = cursor.fetchone()[0]
        after = datetime.now(UTC)
    difference = abs((database_time - (before + (after - before) / 2)).total_seconds())
    if difference > CLOCK_WARNING_SECONDS:
        message = f"This machine's clock and the database's differ by {difference:.1f} s."
        advice = "Synchronize both (NTP). Jobs go by the database's clock; keys expire by this machine's."
        return problem(message, advice) if difference > CLOCK_PROBLEM_SECONDS else warning(message, advice)
    return ok(f"This machine's clock and the database's differ by {1000 * difference:.0f} ms.")


def check_broker() -> CheckResult:
    """Whether the Redis-protocol server answers, is new enough, and never evicts keys."""
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=3, socket_connect_timeout=3)
    try:
        began = time.monotonic()
        info = client.info()
        took = time.monotonic() - began
    except redis.RedisError as error:
        message = f"The broker does not answer: {str(error).partition(chr(10))[0]}"
        if settings.JOBS_INLINE:
            return warning(message, "Jobs run in the request and need none (JOBS_INLINE); requests are not limited.")
        return problem(
            message,
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
    return ok(f"{name} {version} answers after {1000 * took:.0f} ms.")
