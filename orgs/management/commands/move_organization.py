"""Move an organization."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand
from orgs.access.visible_organizations import find_organization
from orgs.tree import authorized_operations
from orgs.tree.admin_sections import PlannedMove, move_plans, said_of_move
from orgs.tree.console import answer_of, answer_of_job, everything
from orgs.tree.large_changes import StartedJob
from orgs.tree.models import Organization
from orgs.tree.move_options import MoveOptions


class Command(OperatorCommand):
    help = (
        "Move an organization with everything below it below another parent. It carries its own settings along, and "
        "inherits the rest from the new parent. If more than TREE_INLINE_ORGANIZATIONS organizations move, a job moves "
        "them."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("organization", metavar="ORG", help="key or id; id:… or key:… if it is a number")
        where = parser.add_mutually_exclusive_group(required=True)
        where.add_argument("--parent", metavar="ORG", help="the new parent, key or id")
        where.add_argument("--root", action="store_true", help="make it the root of a tree of its own")
        parser.add_argument(
            "--materialise",
            action="store_true",
            help="keep the values of flags, as settings of the organization itself",
        )
        parser.add_argument("--at-most", type=int, metavar="N", help="refuse if more organizations get another value")
        parser.add_argument(
            "--plan-hash", default="", metavar="HASH", help="refuse if the plan with this hash is stale"
        )
        parser.add_argument("--plan", action="store_true", help="only say what the move would do")
        add_reason(parser)

    def answer(
        self, *, organization: str, parent: str | None, materialise: bool, at_most: int | None, plan_hash: str,
        plan: bool, **_: Any,
    ) -> Answer:  # fmt: skip
        if plan:
            return _plan(organization, parent, keeps_values=materialise)
        options = MoveOptions(materialise, at_most, plan_hash)
        done = authorized_operations.move(everything(), organization, parent=parent, options=options)
        return answer_of_job(done, "moves") if isinstance(done, StartedJob) else answer_of(done, "moved")


def _plan(organization: str, parent: str | None, *, keeps_values: bool) -> Answer:
    found = find_organization(organization)
    parent_id = authorized_operations.check_move(everything(), found, parent)
    below = None if parent_id is None else Organization.objects.get(pk=parent_id)
    planned = PlannedMove(everything(), found, below, keeps_values)
    [plan] = move_plans
    said = said_of_move(planned)
    return Answer(plan(planned), [*said.effects, *said.notes, "Nothing was written."])
