"""Times in requests: which Flagsite takes, and what the OpenAPI document says of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

FIRST_YEAR, LAST_YEAR = 1000, 2999
"""Every computation with a time of these years, in each time zone, stays inside what Python and PostgreSQL know."""
_LOCAL = (
    r"[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?"
)
_OFFSET = r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
TIME_SCHEMA = {"type": "string", "format": "date-time", "pattern": f"^{_LOCAL}{_OFFSET}$"}
LOCAL_TIME_SCHEMA = {"type": "string", "pattern": f"^{_LOCAL}{_OFFSET}?$"}
"""A time that may lack its offset, so it has not the format `date-time`."""


def check_year(time: datetime) -> datetime:
    """Return the time if its year is one that Flagsite takes. Raises ValidationError."""
    if not FIRST_YEAR <= time.year <= LAST_YEAR:
        raise ValidationError(f"The time is out of range. Write a time of the years {FIRST_YEAR} to {LAST_YEAR}.")
    return time


@extend_schema_field(TIME_SCHEMA)
class Time(serializers.DateTimeField):
    """A time in ISO 8601, in UTC after the validation. Without an offset, it is a time in UTC."""

    def to_internal_value(self, value: Any) -> datetime:
        return check_year(super().to_internal_value(value))
