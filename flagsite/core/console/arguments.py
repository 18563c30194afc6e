"""Types of command-line arguments. A wrong argument gives an error message in one sentence and exit status 2."""

from __future__ import annotations

import json
import re
from argparse import ArgumentTypeError
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from flagsite.core.actor import MAX_REASON_LENGTH
from flagsite.core.db.clock import now
from flagsite.core.ids import id_in

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
Since = datetime | timedelta
"""A point in time, or the time that has passed since then."""


def row_id(text: str) -> int:
    """Parse the id of a job or of another row."""
    number = id_in(text)
    if number is None:
        raise ArgumentTypeError(f"{text!r} is not an id; ids are whole numbers from 1.")
    return number


def count(minimum: int, maximum: int) -> Callable[[str], int]:
    """Return a parser of whole numbers from `minimum` to `maximum`."""

    def count_in(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not minimum <= int(text) <= maximum:
            raise ArgumentTypeError(f"{text!r} is not a whole number from {minimum:,} to {maximum:,}.")
        return int(text)

    return count_in


def decimal(minimum: float, maximum: float) -> Callable[[str], float]:
    """Return a parser of numbers from `minimum` to `maximum`, which may have a fraction."""

    def decimal_in(text: str) -> float:
        is_number = re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text)
        if not is_number or not minimum <= float(text) <= maximum:
            raise ArgumentTypeError(f"{text!r} is not a number from {minimum:g} to {maximum:g}.")
        return float(text)

    return decimal_in


def since(text: str) -> Since:
    """Parse a time before now (30s, 15m, 2h, 7d, 4w) or an ISO date or time; UTC unless it has another offset."""
    ago = re.fullmatch(r"([0-9]{1,6})([smhdw])", text)
    if ago:
        return min(timedelta(**{UNITS[ago[2]]: int(ago[1])}), timedelta(days=365_000))
    when = iso_moment(text)
    if when is None:
        raise ArgumentTypeError(f"{text!r} is neither a time such as 2030-01-31T12:00:00Z nor one such as 30m, 2h, 7d.")
    return when


def when(text: str) -> datetime:
    """Parse a time from now (30s, 15m, 2h, 7d, 4w; by the database's clock) or an ISO date or time, like `since`."""
    ahead = re.fullmatch(r"([0-9]{1,5})([smhdw])", text)
    if ahead:
        return now() + timedelta(**{UNITS[ahead[2]]: int(ahead[1])})
    moment = iso_moment(text)
    if moment is None:
        raise ArgumentTypeError(f"{text!r} is neither a time such as 2030-01-31T12:00:00Z nor one such as 30m, 2h, 7d.")
    return moment


def future_time(text: str) -> datetime:
    """Parse a time in the future, like `when`. Raises ArgumentTypeError for any other text."""
    moment = when(text)
    if moment <= now():
        raise ArgumentTypeError(f"{text} is in the past.")
    return moment


def duration(text: str) -> timedelta:
    """Parse a duration such as 0s, 30m, 2h, 7d or 4w."""
    match = re.fullmatch(r"([0-9]{1,5})([smhdw])", text)
    if match is None:
        raise ArgumentTypeError(f"{text!r} is not a duration such as 30m, 2h, 7d.")
    return timedelta(**{UNITS[match[2]]: int(match[1])})


def iso_moment(text: str) -> datetime | None:
    """Parse an ISO date or time, in UTC unless it has another offset; return None for any other text."""
    try:
        day = parse_date(text)
        when = datetime(day.year, day.month, day.day) if day else parse_datetime(text)  # noqa: DTZ001 - made aware below
    except ValueError:
        return None
    if when is None or timezone.is_aware(when):
        return when
    return timezone.make_aware(when)


def reason(text: str) -> str:
    """Parse the reason of an operation, which the audit log keeps."""
    if len(text) > MAX_REASON_LENGTH:
        raise ArgumentTypeError(f"The reason has {len(text):,} characters, more than {MAX_REASON_LENGTH:,}.")
    return text


def limited_text(longest: int) -> Callable[[str], str]:
    """Return a parser of texts with at most `longest` characters."""

    def text_in(text: str) -> str:
        if len(text) > longest:
            raise ArgumentTypeError(f"The text has {len(text):,} characters, more than {longest:,}.")
        return text

    return text_in


def json_object(text: str) -> dict[str, Any]:
    """Parse a JSON object. Raises ArgumentTypeError for any other text."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise ArgumentTypeError(f'{text!r} is not a JSON object, such as {{"days": 7}}.')
    return value


def add_reason(parser: CommandParser) -> None:
    """Add the option --reason, which all operations have."""
    parser.add_argument("--reason", type=reason, default="", metavar="WHY", help="kept in the audit log")
