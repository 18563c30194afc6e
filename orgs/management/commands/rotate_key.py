"""The command rotate_key: replace an access key by a new one, and print the new one once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console import terminal
from flagsite.core.console.arguments import add_reason, duration, future_time
from flagsite.core.console.command import Answer, OperatorCommand, WrongUsage
from orgs.access import access_keys
from orgs.access.access_key_serializers import CreatedAccessKeySerializer
from orgs.access.models import AccessKey


class Command(OperatorCommand):
    help = (
        "Create a successor of an access key, with the same name, role and organization, and print it. It cannot be "
        "shown again. The former key stays valid for the time of --overlap."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("prefix", metavar="PREFIX", help="the start of the former key, up to the dot")
        parser.add_argument(
            "--overlap", type=duration, default=access_keys.DEFAULT_OVERLAP, metavar="DURATION",
            help="how long the former key stays valid, such as 0s, 2h or 7d; default: 1d",
        )  # fmt: skip
        parser.add_argument(
            "--expires", type=future_time, metavar="TIME", help="when the new key expires: 7d from now, or an ISO time"
        )
        add_reason(parser)

    def answer(self, *, prefix: str, overlap: timedelta, expires: datetime | None, **options: Any) -> Answer:
        if overlap > access_keys.MAX_OVERLAP:
            raise WrongUsage(f"--overlap is longer than {access_keys.MAX_OVERLAP.days} days.")
        former_prefix = prefix.partition(".")[0]
        key, secret = access_keys.rotate(prefix=former_prefix, overlap=overlap, expires=expires)
        former = AccessKey.objects.get(prefix=former_prefix)
        shown = [
            f"{key.name} ({key.role}). This key cannot be shown again:",
            secret,
            f"The former key {former_prefix} is valid until {terminal.format_time(former.expiry_date)} UTC.",
        ]
        return Answer(CreatedAccessKeySerializer(key, context={"secret": secret}).data, shown)
