"""The readiness of this web server, and the status of every part that it works with.

Database and migrations decide whether the server is ready. Without them it cannot answer any request, so a load
balancer should send it none. Broker, beat and probe job are reported, but do not change the readiness. While one of
them is away, the server answers requests and commits changes with their jobs. The jobs run later, because workers also
find jobs without the broker. If every web server left the load balancer, a delay would become an outage. The same holds
for the listener: a process that does not hear of changes reads from the database what it answers, so its answers are at
most two seconds old. docs/alerts.yml has alerts for these parts.
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

from flags.serving import process_cache
from flagsite import beat
from jobs.metrics import probe_job

log = structlog.get_logger(__name__)
PARTS = ("database", "migrations", "broker", "beat", "canary", "listener")
REQUIRED_PARTS = ("database", "migrations")
OVERDUE_SECONDS = 150.0
"""After this time without a tick of beat or a completed probe job, two of them are missing."""
CACHE_SECONDS = 1.0
"""The time for which a result is used again, because every caller may send any number of probes."""
CHECK_TIMEOUT_SECONDS = 2.0
"""The time for which a request waits for the check of another request. Then no part counts as working."""
BROKER_TIMEOUT_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class PartStatus:
    """Whether a part works. Only callers that may see the whole installation get `detail`."""

    is_ok: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Readiness:
    """The status of every part, by the part's name."""

    parts: dict[str, PartStatus] = field(default_factory=dict)

    @property
    def is_ready(self) -> bool:
        """Whether a load balancer should send requests to this server."""
        return all(self.parts[name].is_ok for name in REQUIRED_PARTS)


class ReadinessCache:
    """The latest result. Of several requests at the same time, one checks the parts and the others wait."""

    def __init__(self) -> None:
        self._checking = threading.Lock()
        self._readiness = Readiness()
        self._valid_until = 0.0
        self._all_migrated = False

    def current(self) -> Readiness:
        """The status of every part, at most CACHE_SECONDS old."""
        if not self._checking.acquire(timeout=CHECK_TIMEOUT_SECONDS):
            return Readiness({name: PartStatus(is_ok=False, detail="no answer yet") for name in PARTS})
        try:
            if time.monotonic() > self._valid_until:
                self._readiness = self._check_all()
                self._valid_until = time.monotonic() + CACHE_SECONDS
            return self._readiness
        finally:
            self._checking.release()

    def clear(self) -> None:
        """Forget the latest result, and that all migrations have been applied."""
        with self._checking:
            self._valid_until, self._all_migrated = 0.0, False

    def _check_all(self) -> Readiness:
        parts = {"database": _status("database", _check_database)}
        if parts["database"].is_ok:
            parts["migrations"] = _status("migrations", self._check_migrations)
            parts["beat"] = _status("beat", lambda: _check_age(beat.last_tick_age()))
            parts["canary"] = _status("canary", lambda: _check_age(probe_job.seconds_since_probe()))
        else:
            parts |= {name: PartStatus(is_ok=False, detail="unknown") for name in ("migrations", "beat", "canary")}
        others = {"broker": _check_broker, "listener": _check_listener}
        return Readiness(parts | {name: _status(name, check) for name, check in others.items()})

    def _check_migrations(self) -> PartStatus:
        """Check that the database has every migration of this version. After a success the check is not repeated."""
        if not self._all_migrated:
            executor = MigrationExecutor(connection)
            missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
            if missing:
                return PartStatus(is_ok=False, detail=f"{len(missing)} not applied")
            self._all_migrated = True
        return PartStatus(is_ok=True)


readiness_cache = ReadinessCache()


def _status(part: str, check: Callable[[], PartStatus]) -> PartStatus:
    """The result of the part's check; an exception means that the part does not work."""
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - after any error the part does not work
        log.warning("readiness_check_failed", check=part, error=str(error))
        connection.close()
        return PartStatus(is_ok=False, detail=type(error).__name__)


def _check_database() -> PartStatus:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return PartStatus(is_ok=True)


def _check_age(seconds: float | None) -> PartStatus:
    if seconds is None:
        return PartStatus(is_ok=False, detail="never")
    return PartStatus(is_ok=seconds < OVERDUE_SECONDS, detail=f"{seconds:.0f} s ago")


def _check_broker() -> PartStatus:
    if settings.JOBS_INLINE:
        return PartStatus(is_ok=True, detail="not used")
    client = redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=BROKER_TIMEOUT_SECONDS,
        socket_connect_timeout=BROKER_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        client.ping()
    finally:
        client.close()
    return PartStatus(is_ok=True)


def _check_listener() -> PartStatus:
    """Check that this process hears of changes, if it caches anything."""
    listener = process_cache.listener()
    if listener is None:
        return PartStatus(is_ok=True, detail="not used")
    return PartStatus(is_ok=listener.hears, detail=listener.why_not)
