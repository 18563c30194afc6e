"""The command revoke_key: revoke an access key."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand
from orgs.access import access_keys
from orgs.access.access_key_serializers import AccessKeySerializer


class Command(OperatorCommand):
    help = "Revoke an access key for ever."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("prefix", help="the start of the key, up to the dot")
        add_reason(parser)

    def answer(self, *, prefix: str, **options: Any) -> Answer:
        key = access_keys.revoke(prefix=prefix.partition(".")[0])
        return Answer(AccessKeySerializer(key).data, [f"{key.name} ({key.prefix}) is revoked."])
