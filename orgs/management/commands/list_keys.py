"""Show the access keys."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from orgs import keys


class Command(BaseCommand):
    help = "Show all access keys, newest first, without their secret part."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON array")

    def handle(self, *args: Any, **options: Any) -> None:
        found = [keys.described(key) for key in keys.all_keys()]
        if options["json"]:
            self.stdout.write(json.dumps(found))
            return
        for key in found:
            where = f"organization {key['organizationId']}" if key["organizationId"] else "everything"
            self.stdout.write(f"{key['prefix']}  {key['state']:<8} {key['role']:<8}  {where:<24} {key['name']}")
