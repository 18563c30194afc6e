"""Set and remove attributes of an organization."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason, json_object
from flagsite.core.console.command import Answer, OperatorCommand
from orgs.attributes import authorized_attributes
from orgs.attributes.attribute_console import answer_of
from orgs.tree.console import everything


class Command(OperatorCommand):
    help = "Set and remove attributes of an organization. Everything below it inherits them."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("organization", metavar="ORG", help="key or id; id:… or key:… if it is a number")
        parser.add_argument(
            "values",
            metavar="JSON",
            type=json_object,
            nargs="?",
            default={},
            help='what to set: {"plan": "pro", "seats": 250}; null ends what comes from above',
        )
        parser.add_argument("--remove", action="append", default=[], metavar="NAME", help="an attribute to take away")
        parser.add_argument("--replace", action="store_true", help="take away all that JSON does not name")
        add_reason(parser)

    def answer(
        self, *, organization: str, values: dict[str, Any], remove: list[str], replace: bool, **options: Any
    ) -> Answer:
        removed = [name for name in remove if name not in values]
        return answer_of(
            authorized_attributes.write(everything(), organization, values=values, remove=removed, replace=replace)
        )
