"""Move an organization."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand
from orgs.tree import authorized_operations
from orgs.tree.console import answer_of, answer_of_job, everything
from orgs.tree.large_changes import StartedJob


class Command(OperatorCommand):
    help = (
        "Move an organization with everything below it below another parent. It takes over the flag states of the new "
        "parent. If more than TREE_INLINE_ORGANIZATIONS organizations move, a job moves them."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("organization", metavar="ORG", help="key or id; id:… or key:… if it is a number")
        where = parser.add_mutually_exclusive_group(required=True)
        where.add_argument("--parent", metavar="ORG", help="the new parent, key or id")
        where.add_argument("--root", action="store_true", help="make it the root of a tree of its own")
        add_reason(parser)

    def answer(self, *, organization: str, parent: str | None, **options: Any) -> Answer:
        done = authorized_operations.move(everything(), organization, parent=parent)
        return answer_of_job(done, "moves") if isinstance(done, StartedJob) else answer_of(done, "moved")
