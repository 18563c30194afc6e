"""List the kinds of jobs."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandParser
from rich.console import RenderableType
from rich.table import Column

from flagsite.core.console import terminal
from flagsite.core.console.command import Answer, OperatorCommand
from jobs.api.enqueue_serializers import KindsSerializer
from jobs.engine.kinds import JobKind, enqueueable_kinds
from jobs.operations.enqueue import enqueueable


class Command(OperatorCommand):
    help = "List the kinds of jobs that enqueue_job takes. With a kind, show the JSON schema of its arguments."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("kind", nargs="?", metavar="KIND")

    def answer(self, *, kind: str | None, **options: Any) -> Answer:
        if kind is not None:
            one = enqueueable(kind)
            return Answer(KindsSerializer({"results": [one]}).data["results"][0], _facts(one))
        kinds = enqueueable_kinds()
        table = terminal.table(
            Column("Kind", no_wrap=True), Column("Queue", no_wrap=True), Column("Arguments", overflow="fold"), "Does"
        )
        for each in kinds:
            table.add_row(*terminal.cells(each.name, each.queue, _arguments_of(each), each.summary))
        return Answer(KindsSerializer({"results": kinds}).data, [table])


def _facts(kind: JobKind) -> list[RenderableType]:
    facts = terminal.facts(
        [
            ("kind", kind.name),
            ("does", kind.summary),
            ("queue", kind.queue),
            ("works for", "one organization and everything below it" if kind.of_organization else "all organizations"),
        ]
    )
    return [facts, "", "The JSON schema of its arguments:", *json.dumps(kind.arguments, indent=2).splitlines()]


def _arguments_of(kind: JobKind) -> str:
    """The names of the arguments; an asterisk marks those that must be given."""
    schema = dict(kind.arguments or {})
    required = schema.get("required", ())
    return ", ".join(f"{name}{'*' if name in required else ''}" for name in schema.get("properties", {}))
