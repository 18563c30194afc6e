"""Reading the times that people give, and comparing them with the database's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from flags.errors import InvalidSchedule
from flags.schedules.recurrence import exists, to_utc, zone_named
from flagsite.core.db.clock import now

LATEST = timedelta(days=3653)
"""How far ahead a change may be scheduled."""
GRACE = timedelta(minutes=1)
"""A time that is past by no more is meant as "now": clocks differ, and requests take their time."""


def parse_time(given: datetime, time_zone: str = "") -> datetime:
    """The time in UTC: of a time with an offset by that, of one without by the clocks of the zone.

    Raises InvalidSchedule for a time without offset and zone, and for one that the zone's clocks skip.
    """
    if given.tzinfo is not None:
        try:
            return given.astimezone(UTC)
        except (OverflowError, ValueError) as error:
            raise InvalidSchedule(f"{given} is out of range.") from error
    if not time_zone:
        raise InvalidSchedule("The time has no offset: write 2030-01-31T09:00:00+01:00, or name the timeZone.")
    zone = zone_named(time_zone)
    try:
        if not exists(given, zone):
            raise InvalidSchedule(f"The clocks of {time_zone} skip {given.isoformat(' ')}; choose another time.")
        return to_utc(given, zone)
    except (OverflowError, ValueError) as error:
        raise InvalidSchedule(f"{given} is out of range.") from error


def check_in_future(time: datetime) -> datetime:
    """The time, which is in UTC, if it lies ahead. Raises InvalidSchedule."""
    present = now()
    if time < present - GRACE:
        raise InvalidSchedule(f"{time:%Y-%m-%dT%H:%M:%SZ} is past; it is {present:%Y-%m-%dT%H:%M:%SZ} now.")
    if time > present + LATEST:
        raise InvalidSchedule("A change can be scheduled for the next ten years.")
    return time
