"""Checks of the infrastructure: settings, clock, broker."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import redis
from django.conf import settings
from django.core import checks
from django.db import connection

from flags.schedules.backoff import DEFAULT_MAX_RETRIES, MAX_RETRIES_LIMIT, max_retries_is_in_range
from flagsite.health.doctor.check_result import CheckResult, ok, problem, warning

MIN_REDIS_VERSION = (6, 2)
CLOCK_WARNING_SECONDS = 2.0
"""From this difference between two clocks, people notice wrong times."""
CLOCK_PROBLEM_SECONDS = 60.0


def check_settings() -> CheckResult:
    """Run Django's own checks, in production with those for deployment, and look for contradicting settings."""
    messages = checks.run_checks(include_deployment_checks=settings.PRODUCTION)
    errors = [message for message in messages if message.level >= checks.ERROR]
    if errors:
        return problem(
            "; ".join(f"{error.msg} ({error.id})" for error in errors), str(errors[0].hint or "Correct the setting.")
        )
    if settings.JOB_SWEEP_SECONDS > settings.JOB_LEASE_SECONDS:
        return warning(
            f"The rescuer looks for lost jobs every {settings.JOB_SWEEP_SECONDS:g} s, but a lease ends after "
            f"{settings.JOB_LEASE_SECONDS:g} s already, so lost jobs wait longer than necessary.",
            "Set JOB_SWEEP_SECONDS to a lower value than JOB_LEASE_SECONDS.",
        )
    if settings.PRODUCTION and settings.JOBS_INLINE:
        return warning(
            "JOBS_INLINE is on in production, so each job runs in its request, and a large job blocks the request.",
            "Unset JOBS_INLINE, and run workers.",
        )
    if not max_retries_is_in_range():
        return warning(
            f"FLAG_SCHEDULE_MAX_RETRIES is {settings.FLAG_SCHEDULE_MAX_RETRIES!r}. "
            f"Flagsite uses {DEFAULT_MAX_RETRIES} instead.",
            f"Set it to a whole number from 0 to {MAX_RETRIES_LIMIT}, or unset it.",
        )
    warnings = [each for each in messages if each.level >= checks.WARNING and each.id not in IGNORED_WARNINGS]
    if warnings:
        summary = "; ".join(f"{each.id}: {str(each.msg).partition('.')[0]}" for each in warnings)
        return warning(summary, "https://docs.djangoproject.com/en/stable/ref/checks/ explains each warning.")
    return ok(f"The settings for {'production' if settings.PRODUCTION else 'development'} are in order.")


IGNORED_WARNINGS = {"security.W004", "security.W008"}
"""Django's warnings about HSTS and the redirect to HTTPS. The README explains both, and often a proxy does them."""


def check_clock() -> CheckResult:
    """Check that this machine's clock and the database's clock agree."""
    with connection.cursor() as cursor:
        before = datetime.now(UTC)
        cursor.execute("SELECT clock_timestamp()")
        database_time: datetime = cursor.fetchone()[0]
        after = datetime.now(UTC)
    difference = abs((database_time - (before + (after - before) / 2)).total_seconds())
    if difference > CLOCK_WARNING_SECONDS:
        message = f"This machine's clock and the database's clock differ by {difference:.1f} s."
        advice = (
            "Synchronize both clocks (NTP). Jobs use the database's clock, access keys expire by this machine's clock."
        )
        return problem(message, advice) if difference > CLOCK_PROBLEM_SECONDS else warning(message, advice)
    return ok(f"This machine's clock and the database's clock differ by {1000 * difference:.0f} ms.")


def check_broker() -> CheckResult:
    """Check that the Redis-protocol server answers, is new enough and never evicts keys."""
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=3, socket_connect_timeout=3)
    try:
        began = time.monotonic()
        info = client.info()
        seconds = time.monotonic() - began
    except redis.RedisError as error:
        message = f"The broker does not answer: {str(error).partition(chr(10))[0]}"
        if settings.JOBS_INLINE:
            return warning(
                message, "JOBS_INLINE is on, so jobs need no broker. But without a broker no rate limit is in force."
            )
        return problem(
            message,
            "Start the broker, or correct REDIS_URL. No request is lost: jobs wait in the database, and start within "
            "seconds after the broker is back.",
        )
    finally:
        client.close()
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version") or info["redis_version"])
    if tuple(int(part) for part in str(info["redis_version"]).split(".")[:2]) < MIN_REDIS_VERSION:
        return problem(
            f"The broker is {name} {version}.", "Flagsite needs Redis 6.2 or newer, or Valkey; upgrade the server."
        )
    if info.get("maxmemory") and info.get("maxmemory_policy") != "noeviction":
        return warning(
            f"The broker deletes keys when its memory is full (maxmemory-policy {info['maxmemory_policy']}).",
            "Set maxmemory-policy to noeviction. A job whose wake-up is deleted starts up to 15 seconds later.",
        )
    return ok(f"{name} {version} answers after {1000 * seconds:.0f} ms.")
