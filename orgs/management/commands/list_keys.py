"""The command list_keys: list the access keys."""

from __future__ import annotations

from typing import Any

from rich.table import Column

from flagsite.core.console import terminal
from flagsite.core.console.command import Answer, OperatorCommand
from orgs.access import access_keys
from orgs.access.access_key_serializers import AccessKeySerializer


class Command(OperatorCommand):
    help = "List all access keys, newest first, without their secret part."

    def answer(self, **options: Any) -> Answer:
        keys = list(access_keys.all_keys())
        table = terminal.table(
            Column("Prefix", no_wrap=True),
            Column("State (UTC)", no_wrap=True),
            Column("Role", no_wrap=True),
            Column("Last used (UTC)", no_wrap=True),
            "Access to",
            "Name",
        )
        for key in keys:
            access = f"{key.organization.key} (id {key.organization_id})" if key.organization else "everything"
            last = terminal.format_time(access_keys.last_used_at(key)) or "never"
            replaced = f", replaced by {key.successor.prefix}" if key.successor else ""
            state = f"{access_keys.validity_of(key)}{replaced}"
            table.add_row(*terminal.cells(key.prefix, state, key.role, last, access, key.name))
        return Answer(AccessKeySerializer(keys, many=True).data, [table] if keys else ["There are no access keys."])
