"""The command list_keys: list the access keys."""

from __future__ import annotations

from typing import Any

from rich.table import Column

from flagsite.core.console import terminal
from flagsite.core.console.command import Answer, OperatorCommand
from orgs.access import access_keys


class Command(OperatorCommand):
    help = "List all access keys, newest first, without their secret part."

    def answer(self, **options: Any) -> Answer:
        keys = [access_keys.as_json(key) for key in access_keys.all_keys()]
        table = terminal.table(
            Column("Prefix", no_wrap=True),
            Column("State", no_wrap=True),
            Column("Role", no_wrap=True),
            "Access to",
            "Name",
        )
        for key in keys:
            access = f"organization {key['organizationId']}" if key["organizationId"] else "everything"
            table.add_row(*terminal.cells(key["prefix"], key["state"], key["role"], access, key["name"]))
        return Answer(keys, [table] if keys else ["There are no access keys."])
