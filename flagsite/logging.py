"""The format of log lines: JSON for programs or coloured text for people, each with the request's correlation id."""

from __future__ import annotations

import logging
import logging.config
import os
import re
import sys
from collections.abc import MutableMapping
from time import monotonic
from typing import Any

import structlog

from flagsite.core import actor

TOP_LEVEL_FIELDS = ("timestamp", "level", "event", "correlationId", "logger")
"""The fields at the top level of every JSON line. All other fields are in `data`."""
ABOUT_THE_DATABASE = frozenset(
    {
        "database_away",
        "evaluation_without_database",
        "events_without_database",
        "metrics_without_database",
        "readiness_check_failed",
    }
)
"""The events that every request may cause while the database is away."""
USER_IN_URL = re.compile(r"(?<=://)[^/@\s'\"]*(?=@)")


def without_passwords(logger: Any, method: str, line: dict[str, Any]) -> dict[str, Any]:
    """Replace user and password of each URL in the line by ***, because error messages of libraries contain URLs."""
    for name, value in line.items():
        if isinstance(value, str) and "://" in value:
            line[name] = USER_IN_URL.sub(_without_password, value)
    return line


def _without_password(user: re.Match[str]) -> str:
    return "***" if ":" in user[0] else user[0]


class DatabaseAwayOnceASecond:
    """A processor: of the events that say that the database is away, one a second; it says how many it stands for."""

    def __init__(self) -> None:
        self._next_at = 0.0
        self._left_out = 0

    def __call__(self, logger: Any, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if line["event"] not in ABOUT_THE_DATABASE or line.get("check") == "broker":
            return line
        now = monotonic()
        if now < self._next_at:
            self._left_out += 1
            raise structlog.DropEvent
        self._next_at = now + 1
        if self._left_out:
            line["leftOut"], self._left_out = self._left_out, 0
        return line


def has_traceback(record: logging.LogRecord) -> bool:
    """Whether a line of Django's about a request says more than the line `request_answered`."""
    return bool(record.exc_info)


def nested(logger: Any, method: str, line: dict[str, Any]) -> dict[str, Any]:
    """Move the fields of the event into `data`."""
    top = {name: line.pop(name, "") for name in TOP_LEVEL_FIELDS}
    return top | ({"data": line} if line else {})


def with_action_context(logger: Any, method: str, line: dict[str, Any]) -> dict[str, Any]:
    """Add the caller and the correlation id, unless the line has its own."""
    context = actor.current()
    fields = {"correlationId": context.correlation_id} if context.correlation_id else {}
    if context.actor not in {actor.SYSTEM, actor.UNKNOWN}:
        fields["caller"] = context.actor
    return fields | line


SHARED: list[Any] = [
    with_action_context,
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
]


def formatter(style: str) -> structlog.stdlib.ProcessorFormatter:
    """The formatter that turns a log record into a line; `style` is "json" or "console"."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=SHARED,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(style)],
    )


def configuration(*, level: str, style: str) -> dict[str, Any]:
    """The value of Django's setting LOGGING; `style` is "json" or "console"."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "lines": {"()": formatter, "style": style},
        },
        "filters": {"has_traceback": {"()": lambda: has_traceback}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "lines"}},
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            "django": {"handlers": [], "level": "INFO"},
            "django.request": {"handlers": [], "filters": ["has_traceback"]},
            "django.security": {"handlers": [], "propagate": False},  # `request_answered` says why in `refusedAs`
            "django.server": {"handlers": [], "level": "WARNING"},
            "celery": {"handlers": [], "level": level},
            "celery.app.trace": {"handlers": [], "level": "WARNING"},
            "celery.worker.strategy": {"handlers": [], "level": "WARNING"},
            "celery.beat": {"handlers": [], "level": "WARNING"},
            "apprise": {"handlers": [], "level": "CRITICAL"},  # its other lines have secrets and numbers of people
            "urllib3": {"handlers": [], "level": "CRITICAL"},  # its lines have the paths of webhooks, which are secret
            **{name: {"handlers": [], "level": "INFO"} for name in ("boto3", "botocore", "s3transfer")},  # also secrets
            "django_celery_beat.schedulers": {"handlers": [], "level": "WARNING"},
        },
    }


def _renderers(style: str) -> list[Any]:
    if style == "json":
        return [structlog.processors.format_exc_info, without_passwords, nested, structlog.processors.JSONRenderer()]
    console = structlog.dev.ConsoleRenderer(
        pad_event_to=28, colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    return [without_passwords, console]


def configure_structlog() -> None:
    """Configure structlog so that its events, log records and Python's warnings have the same format."""
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            DatabaseAwayOnceASecond(),
            *SHARED,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def configure_process_without_django() -> None:
    """Give the log lines of a process that has no settings the format that LOG_FORMAT and DATABASE_URL ask for."""
    style = os.environ.get("LOG_FORMAT") or ("json" if os.environ.get("DATABASE_URL") else "console")
    level = (os.environ.get("LOG_LEVEL") or "INFO").upper()
    logging.config.dictConfig(
        configuration(level=level if level in logging.getLevelNamesMapping() else "INFO", style=style)
    )
    configure_structlog()
