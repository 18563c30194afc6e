"""The command set_password: give a person a new password, and print it once."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand, me
from orgs.access import people_operations
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.access.people_serializers import PersonWithPasswordSerializer


class Command(OperatorCommand):
    help = "Give a person a new password, and print it. It cannot be shown again. All sessions of the person end."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("username", metavar="USERNAME")
        add_reason(parser)

    def answer(self, *, username: str, **options: Any) -> Answer:
        person, password = people_operations.set_password(Caller(me(), Role.ADMIN), username)
        shown = [f"The new password of {username}, which cannot be shown again:", password]
        return Answer(PersonWithPasswordSerializer(person, context={"password": password}).data, shown)
