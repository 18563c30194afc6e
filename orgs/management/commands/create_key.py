"""Make an access key and print it, once."""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import when
from flagsite.core.console.command import Answer, OperatorCommand
from flagsite.core.db.clock import now
from orgs.access import access_keys
from orgs.access.models import Role
from orgs.access.organizations import find_organization_by_key_or_id


class Command(OperatorCommand):
    help = "Make an access key and print it; it cannot be shown again."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="what the key is for, 1 to 50 characters")
        parser.add_argument("--role", choices=Role.values, default=Role.READER.value, help="default: reader")
        parser.add_argument("--organization", metavar="ORG", help="key or id; sees and changes this subtree only")
        parser.add_argument("--expires", type=future, metavar="TIME", help="30m, 2h, 7d from now, or an ISO time")

    def answer(self, *, name: str, role: str, organization: str | None, expires: Any, **options: Any) -> Answer:
        top = find_organization_by_key_or_id(organization) if organization else None
        record, key = access_keys.create(name=name, role=Role(role), organization=top, expires=expires)
        shown = [f"{record.name} ({record.role}), shown this once:", key]
        return Answer(access_keys.described(record) | {"key": key}, shown)


def future(text: str) -> datetime:
    """A time to come. Raises ArgumentTypeError for what is no time, or is past."""
    moment = when(text)
    if moment <= now():
        raise ArgumentTypeError(f"{text} is past.")
    return moment
