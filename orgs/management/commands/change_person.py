"""The command change_person: change groups and scope of a person, or deactivate the person."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand, WrongUsage, me
from orgs.access import people_operations
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.access.people import ROLES_BY_GROUP, groups_of
from orgs.access.people_serializers import PersonSerializer
from orgs.access.visible_organizations import find_organization


class Command(OperatorCommand):
    help = "Change the groups or the organization of a person, or deactivate the person. Other values stay."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("username", metavar="USERNAME")
        groups = parser.add_mutually_exclusive_group()
        groups.add_argument(
            "--group", action="append", choices=sorted(ROLES_BY_GROUP), dest="groups",
            help="the person is in the given groups only; may be given several times",
        )  # fmt: skip
        groups.add_argument("--no-groups", action="store_const", const=[], dest="groups", help="leave all groups")
        scope = parser.add_mutually_exclusive_group()
        scope.add_argument("--organization", metavar="ORG", help="key or id; limits the access to this subtree")
        scope.add_argument("--everywhere", action="store_true", help="the person sees all organizations")
        active = parser.add_mutually_exclusive_group()
        active.add_argument("--deactivate", action="store_false", dest="is_active", default=None)
        active.add_argument("--activate", action="store_true", dest="is_active", default=None)
        add_reason(parser)

    def answer(
        self, *, username: str, groups: list[str] | None, organization: str | None, everywhere: bool,
        is_active: bool | None, **options: Any,
    ) -> Answer:  # fmt: skip
        changes: dict[str, Any] = {}
        if groups is not None:
            changes["groups"] = groups
        if organization or everywhere:
            changes["organization"] = find_organization(organization).pk if organization else None
        if is_active is not None:
            changes["is_active"] = is_active
        if not changes:
            raise WrongUsage("Nothing to change: give an option, such as --group or --deactivate.")
        person = people_operations.change(Caller(me(), Role.ADMIN), username, changes)
        scope = f"bound to {person.scope.organization.key}" if hasattr(person, "scope") else "not bound"
        state = "active" if person.is_active else "deactivated"
        words = f"{username} is {state}, in the groups {', '.join(groups_of(person)) or 'none'}, and {scope}."
        return Answer(PersonSerializer(person).data, [words])
