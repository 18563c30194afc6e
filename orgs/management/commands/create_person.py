"""The command create_person: create a person for the admin site, and print the first password once."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand, Refused, me
from orgs.access import people_operations
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.access.people import ROLES_BY_GROUP
from orgs.access.people_serializers import PersonWithPasswordSerializer
from orgs.access.visible_organizations import find_organization


class Command(OperatorCommand):
    help = "Create a person for the admin site, and print the first password. It cannot be shown again."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument(
            "username", metavar="USERNAME", help="1 to 150 letters, digits and the characters @ . + - _"
        )
        parser.add_argument(
            "--group", action="append", choices=sorted(ROLES_BY_GROUP), default=[], dest="groups",
            help="may be given several times; without a group, the person cannot sign in",
        )  # fmt: skip
        parser.add_argument("--organization", metavar="ORG", help="key or id; limits the access to this subtree")
        parser.add_argument("--email", default="")
        add_reason(parser)

    def answer(
        self, *, username: str, groups: list[str], organization: str | None, email: str, **options: Any
    ) -> Answer:
        try:
            User.username_validator(username)
            User(email=email).clean_fields(exclude={"username", "password"})
        except ValidationError as error:
            raise Refused(" ".join(error.messages)) from error
        top = find_organization(organization).pk if organization else None
        person, password = people_operations.create(
            Caller(me(), Role.ADMIN), username=username, groups=groups, organization=top, email=email
        )
        shown = [f"{person.get_username()} can sign in with this password, which cannot be shown again:", password]
        return Answer(PersonWithPasswordSerializer(person, context={"password": password}).data, shown)
