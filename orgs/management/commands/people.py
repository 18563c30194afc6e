"""The command people: list the people who use the admin site."""

from __future__ import annotations

from typing import Any

from rich.table import Column

from flagsite.core.console import terminal
from flagsite.core.console.command import Answer, OperatorCommand, me
from orgs.access import people_operations
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.access.people import groups_of
from orgs.access.people_serializers import PersonSerializer


class Command(OperatorCommand):
    help = "List all people with their groups and the organizations to which they are bound."

    def answer(self, **options: Any) -> Answer:
        people = list(people_operations.visible_people(Caller(me(), Role.ADMIN)))
        table = terminal.table(
            Column("Username", no_wrap=True), Column("State", no_wrap=True), Column("Groups", overflow="fold"),
            Column("Bound to", overflow="fold"), Column("Last login (UTC)", no_wrap=True),
        )  # fmt: skip
        for person in people:
            state = "deactivated" if not person.is_active else "superuser" if person.is_superuser else "active"
            bound = hasattr(person, "scope")
            scope = f"{person.scope.organization.key} (id {person.scope.organization_id})" if bound else "everything"
            last = terminal.format_time(person.last_login) or "never"
            groups = ", ".join(groups_of(person)) or "none"
            table.add_row(*terminal.cells(person.get_username(), state, groups, scope, last))
        return Answer(PersonSerializer(people, many=True).data, [table] if people else ["There are no people."])
