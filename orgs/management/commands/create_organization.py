"""Create an organization."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand
from orgs.tree import authorized_operations
from orgs.tree.console import answer_of, everything, new_organization


class Command(OperatorCommand):
    help = "Create an organization. It takes over the flag states of its parent."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("key", metavar="KEY", help="the stable name in your own systems; it cannot be changed")
        parser.add_argument("name", metavar="NAME", help="the name that people see")
        parser.add_argument("--parent", metavar="ORG", help="key or id; without it, the organization is a root")
        add_reason(parser)

    def answer(self, *, key: str, name: str, parent: str | None, **options: Any) -> Answer:
        created = authorized_operations.create(everything(), **new_organization(name=name, key=key), parent=parent)
        return answer_of(created, "created")
