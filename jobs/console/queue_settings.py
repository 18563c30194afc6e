"""The settings of a queue as options of commands."""

from __future__ import annotations

from argparse import ArgumentTypeError, BooleanOptionalAction
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import count, decimal
from jobs.engine.models import Backoff
from jobs.operations import queue_operations

UNLIMITED = 0
LIMITS = ("concurrency", "rate_allowed")


def add_settings(parser: CommandParser) -> None:
    """Add an option for each setting of a queue."""
    parser.add_argument("--concurrency", type=_count_or_unlimited, metavar="N", help="jobs at once, or unlimited")
    parser.add_argument("--max-retries", type=count(0, 10), metavar="N")
    parser.add_argument("--backoff-type", choices=Backoff.values)
    parser.add_argument("--backoff-base", type=decimal(1, 60), metavar="FACTOR", help="by which the waits grow")
    parser.add_argument(
        "--backoff-delay", type=decimal(0, 3_600), metavar="SECONDS", help="the wait before the first retry"
    )
    parser.add_argument("--backoff-jitter", type=decimal(0, 1), metavar="SHARE", help="from 0 to 1")
    parser.add_argument(
        "--rate-allowed", type=_count_or_unlimited, metavar="N", help="starts in the time, or unlimited"
    )
    parser.add_argument("--rate-seconds", type=count(1, 86_400), metavar="SECONDS", help="the time of the rate")
    parser.add_argument("--is-fair", action=BooleanOptionalAction, help="fewest running jobs of an organization first")


def settings_in(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that the options name."""
    given = {name: options[name] for name in queue_operations.SETTINGS if options[name] is not None}
    return {name: None if name in LIMITS and value == UNLIMITED else value for name, value in given.items()}


def _count_or_unlimited(text: str) -> int:
    try:
        return UNLIMITED if text == "unlimited" else count(1, 10_000)(text)
    except ArgumentTypeError as error:
        raise ArgumentTypeError(f"{error} Or write unlimited.") from None
