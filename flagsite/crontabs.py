"""The rules of crontabs: what beat understands whole, and which crontabs never come."""

from __future__ import annotations

import re

from celery.schedules import ParseException
from django.core.exceptions import ValidationError
from django_celery_beat.models import CrontabSchedule

from flags.errors import InvalidSchedule
from flags.schedules.recurrence import FIELDS, check_field

NUMBERS = {
    "minute": (0, 59), "hour": (0, 23), "day_of_month": (1, 31), "month_of_year": (1, 12), "day_of_week": (0, 6),
}  # fmt: skip
"""The smallest and the largest number of each field."""


def check_crontab_fields(crontab: CrontabSchedule) -> None:
    """Refuse fields that Celery does not understand, or only in part. Raises ValidationError with the fields.

    Examples are `mon#1`, and 7 as a day of the week.
    """
    problems = {}
    for name in FIELDS:
        try:
            text = "".join(str(getattr(crontab, name)).split())
            check_field(name, text)
            _check_numbers(name, text)
        except InvalidSchedule as error:
            problems[name] = error.detail
    if problems:
        raise ValidationError(problems)


def check_crontab(crontab: CrontabSchedule) -> None:
    """Refuse a crontab that Celery understands only in part, or that never comes. Raises ValidationError."""
    check_crontab_fields(crontab)
    try:
        _ = crontab.schedule  # Celery refuses days that no month has, such as 30 February
    except (ParseException, ValueError) as error:
        raise ValidationError(f"The crontab is not valid: {error}") from error


def _check_numbers(name: str, text: str) -> None:
    """Refuse a number that the field does not have. The step after a slash is not one of these numbers."""
    smallest, largest = NUMBERS[name]
    for number in re.findall(r"\d+", re.sub(r"/\d+", "", text)):
        if not smallest <= int(number) <= largest:
            sunday = " Sunday is 0." if name == "day_of_week" else ""
            raise InvalidSchedule(
                f"The field {name.replace('_', ' ')} has the numbers {smallest} to {largest}, and not {number}.{sunday}"
            )
