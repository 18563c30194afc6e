"""End an access key."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from orgs import keys
from orgs.errors import AccessKeyNotFound


class Command(BaseCommand):
    help = "End an access key for good."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("prefix", help="what the key begins with, up to the dot")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            key = keys.revoke(prefix=options["prefix"].partition(".")[0])
        except AccessKeyNotFound as error:
            raise CommandError(error.detail) from error
        self.stdout.write(f"{key.name} ({key.prefix}) is revoked.")
