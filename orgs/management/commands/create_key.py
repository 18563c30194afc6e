"""The command create_key: create an access key and print it once."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason, future_time
from flagsite.core.console.command import Answer, OperatorCommand
from orgs.access import access_keys
from orgs.access.access_key_serializers import CreatedAccessKeySerializer
from orgs.access.models import Role
from orgs.access.visible_organizations import find_organization


class Command(OperatorCommand):
    help = "Create an access key and print it. It cannot be shown again."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help="the purpose of the key, 1 to 50 characters")
        parser.add_argument("--role", choices=Role.values, default=Role.READER.value, help="default: reader")
        parser.add_argument("--organization", metavar="ORG", help="key or id; limits the access to this subtree")
        parser.add_argument(
            "--expires", type=future_time, metavar="TIME", help="30m, 2h or 7d from now, or an ISO time"
        )
        add_reason(parser)

    def answer(self, *, name: str, role: str, organization: str | None, expires: Any, **options: Any) -> Answer:
        top = find_organization(organization) if organization else None
        record, key = access_keys.create(name=name, role=Role(role), organization=top, expires=expires)
        shown = [f"{record.name} ({record.role}). This key cannot be shown again:", key]
        return Answer(CreatedAccessKeySerializer(record, context={"secret": key}).data, shown)
