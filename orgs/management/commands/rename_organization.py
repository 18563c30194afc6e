"""Rename an organization."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand
from orgs.tree import authorized_operations
from orgs.tree.console import answer_of, everything, new_name


class Command(OperatorCommand):
    help = "Give an organization another name. Its key and its place stay."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("organization", metavar="ORG", help="key or id; id:… or key:… if it is a number")
        parser.add_argument("name", metavar="NAME")
        add_reason(parser)

    def answer(self, *, organization: str, name: str, **options: Any) -> Answer:
        return answer_of(authorized_operations.rename(everything(), organization, name=new_name(name)), "renamed")
