"""Parsing the times of requests, and comparing them with the clock of the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from flags.errors import InvalidSchedule
from flags.schedules.recurrence import exists, to_utc, zone_named
from flagsite.core.db.clock import now

MAX_TIME_AHEAD = timedelta(days=3653)
"""A change can be scheduled at most this time in advance."""
MAX_CLOCK_DIFFERENCE = timedelta(minutes=1)
"""A time in the past by at most this difference means "now", because clocks differ and requests take time."""


def parse_time(value: datetime, time_zone: str = "") -> datetime:
    """Convert a time to UTC. The offset of the time counts, or else the time zone.

    Raises InvalidSchedule for a time without offset and zone, and for a time that the clock of the zone skips.
    """
    if value.tzinfo is not None:
        try:
            return value.astimezone(UTC)
        except (OverflowError, ValueError) as error:
            raise InvalidSchedule(f"{value} is out of range.") from error
    if not time_zone:
        raise InvalidSchedule("The time has no offset. Write 2030-01-31T09:00:00+01:00, or send a timeZone.")
    zone = zone_named(time_zone)
    try:
        if not exists(value, zone):
            raise InvalidSchedule(f"The clock of {time_zone} skips {value.isoformat(' ')}. Choose another time.")
        return to_utc(value, zone)
    except (OverflowError, ValueError) as error:
        raise InvalidSchedule(f"{value} is out of range.") from error


def check_in_future(time: datetime) -> datetime:
    """Return the time in UTC if it is in the future. Raises InvalidSchedule."""
    current_time = now()
    if time < current_time - MAX_CLOCK_DIFFERENCE:
        raise InvalidSchedule(
            f"{time:%Y-%m-%dT%H:%M:%SZ} is in the past. The time is {current_time:%Y-%m-%dT%H:%M:%SZ}."
        )
    if time > current_time + MAX_TIME_AHEAD:
        raise InvalidSchedule("A change can be scheduled at most ten years in advance.")
    return time
