"""Make an access key and print it, once."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from orgs import keys
from orgs.errors import FlagsiteError
from orgs.models import Role


class Command(BaseCommand):
    help = "Make an access key and print it; it cannot be shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="what the key is for, 1 to 50 characters")
        parser.add_argument("--role", choices=Role.values, default=Role.READER.value, help="default: reader")
        parser.add_argument("--organization", metavar="KEY_OR_ID", help="sees and changes this subtree only")
        parser.add_argument("--expires", type=moment, metavar="ISO", help="a date or a time; in UTC unless it says")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            organization = keys.organization_called(options["organization"]) if options["organization"] else None
            record, key = keys.create(
                name=options["name"], role=Role(options["role"]), organization=organization, expires=options["expires"]
            )
        except FlagsiteError as error:
            raise CommandError(error.detail) from error
        if options["json"]:
            self.stdout.write(json.dumps(keys.described(record) | {"key": key}))
        else:
            self.stdout.write(f"{record.name} ({record.role}), shown this once:\n{key}")


def moment(text: str) -> datetime:
    """An ISO date or time. Raises ArgumentTypeError for what is not one, or is past."""
    try:
        day = parse_date(text)
        when = datetime(day.year, day.month, day.day) if day else parse_datetime(text)  # noqa: DTZ001 - made aware below
    except ValueError:
        when = None
    if when is None:
        raise ArgumentTypeError(f"{text!r} is no date or time such as 2030-01-31 or 2030-01-31T12:00:00Z.")
    when = when if timezone.is_aware(when) else timezone.make_aware(when)
    if when <= timezone.now():
        raise ArgumentTypeError(f"{text} is past.")
    return when
