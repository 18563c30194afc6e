"""Whether this web server can do its work, and how the parts behind it are.

Database and migrations decide: without them no request can be answered rightly, so a balancer is to send none here.
Broker, beat and canary are told, and decide nothing: while they are away requests are answered as ever, changes are
committed with their jobs, and the jobs run when the part is back (workers find them without the broker too). Taking
all web servers out for it would turn a delay into an outage. Alerts look after those (docs/alerts.yml).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import redis
import structlog
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from redis.backoff import NoBackoff
from redis.retry import Retry

from flagsite import beat
from jobs.metrics import probe_job

log = structlog.get_logger(__name__)
ALL = ("database", "migrations", "broker", "beat", "canary")
DECIDING = ("database", "migrations")
LONGEST_SILENCE = 150.0
"""Seconds without a tick of beat, or without a canary that came through: two were missed."""
FRESH = 1.0
"""For so many seconds an answer is given again: strangers may ask as often as they like."""
PATIENCE = 2.0
"""Seconds that a request waits for the one that is asking already; then the database counts as away."""
BROKER_ANSWER = 0.5


@dataclass(frozen=True, slots=True)
class Check:
    """One part; `detail` is for those who look after the installation."""

    is_ok: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Every part by name."""

    checks: dict[str, Check] = field(default_factory=dict)

    @property
    def is_ready(self) -> bool:
        """Whether requests are to come here."""
        return all(self.checks[name].is_ok for name in DECIDING)


class ReadinessCache:
    """The last answer; of many that ask at once one finds out."""

    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._found = Readiness()
        self._until = 0.0

    def now(self) -> Readiness:
        """How things are, at most FRESH seconds old."""
        if not self._asking.acquire(timeout=PATIENCE):
            return Readiness({name: Check(is_ok=False, detail="no answer yet") for name in ALL})
        try:
            if time.monotonic() > self._until:
                self._found = find_out()
                self._until = time.monotonic() + FRESH
            return self._found
        finally:
            self._asking.release()


memory = ReadinessCache()
_migrated = threading.Event()


def find_out() -> Readiness:
    """Ask every part."""
    checks = {"database": _check(_database)}
    if checks["database"].is_ok:
        checks |= {"migrations": _check(_migrations), "beat": _check(_beat), "canary": _check(_canary)}
    else:
        checks |= {name: Check(is_ok=False, detail="unknown") for name in ("migrations", "beat", "canary")}
    return Readiness(checks | {"broker": _check(_broker)})


def _check(part: Callable[[], Check]) -> Check:
    try:
        return part()
    except Exception as error:  # noqa: BLE001 - whatever it is, the part does not work
        log.warning("readiness_check_failed", check=part.__name__.strip("_"), error=str(error))
        connection.close()
        return Check(is_ok=False, detail=type(error).__name__)


def _database() -> Check:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return Check(is_ok=True)


def _migrations() -> Check:
    """Whether the database has every migration of this code; once it has, it keeps them."""
    if not _migrated.is_set():
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if missing:
            return Check(is_ok=False, detail=f"{len(missing)} not applied")
        _migrated.set()
    return Check(is_ok=True)


def _beat() -> Check:
    return _age(beat.last_tick_age())


def _canary() -> Check:
    return _age(probe_job.seconds_since_probe())


def _age(seconds: float | None) -> Check:
    if seconds is None:
        return Check(is_ok=False, detail="never")
    return Check(is_ok=seconds < LONGEST_SILENCE, detail=f"{seconds:.0f} s ago")


def _broker() -> Check:
    if settings.JOBS_INLINE:
        return Check(is_ok=True, detail="not used")
    client = redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=BROKER_ANSWER,
        socket_connect_timeout=BROKER_ANSWER,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        client.ping()
    finally:
        client.close()
    return Check(is_ok=True)
