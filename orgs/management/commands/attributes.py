"""Show the attributes of an organization."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.command import Answer, OperatorCommand
from flagsite.core.db.snapshot import snapshot
from orgs.attributes import authorized_attributes
from orgs.attributes.attribute_console import answer_of
from orgs.tree.console import everything


class Command(OperatorCommand):
    help = "Show the attributes of an organization: its own, and those that it inherits."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("organization", metavar="ORG", help="key or id; id:… or key:… if it is a number")

    def answer(self, *, organization: str, **options: Any) -> Answer:
        with snapshot():
            return answer_of(authorized_attributes.read(everything(), organization))
