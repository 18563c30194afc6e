"""The command check_tree: compare the nested set with the parent links, and repair it."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import PlainCommand, acting_as_command
from flagsite.core.words import counted
from orgs.tree import integrity, tree_operations
from orgs.tree.integrity import TreeReport
from orgs.tree.integrity_serializers import TreeCheckSerializer
from orgs.tree.tree_operations import TreeCheck


class Command(PlainCommand):
    help = (
        "Compare lft, rght, level, tree_id and descendant_count of every organization with the parent links, and list "
        "the problems. "
        "The exit status is 1 if there are problems; with --repair, if there are problems after the repair."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--repair", action="store_true", help="write the columns as the parent links require")
        parser.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
        add_reason(parser)

    def handle(self, *args: Any, repair: bool, reason: str = "", **options: Any) -> None:
        with acting_as_command(reason=reason):
            check = tree_operations.check_and_repair() if repair else tree_operations.check()
        text = json.dumps(TreeCheckSerializer(check).data) if options["json"] else _as_text(check)
        self.stdout.write(text)
        if not check.after.sound:
            raise CommandError(f"The tree has problems. {_advice(check.after, repair=repair)}".rstrip())


def _advice(report: TreeReport, *, repair: bool) -> str:
    if integrity.CIRCLE in report.counts:
        return "Parents form a circle: give one organization of each circle another parent, then check again."
    return "" if repair else "Run check_tree --repair."


def _as_text(check: TreeCheck) -> str:
    before, repaired, after = check.before, check.repaired, check.after
    if before.sound:
        return f"The tree has no problems: {counted(before.organizations, 'organization')}."
    lines = [f"{problem.key} (id {problem.organization_id}) {problem.words}." for problem in before.problems]
    more = sum(before.counts.values()) - len(lines)
    lines += [f"and {more:,} more problems of the same kinds."] if more else []
    if repaired is not None:
        lines.append(f"Repaired the columns of {counted(repaired, 'organization')}.")
        lines += [
            f"{problem.key} (id {problem.organization_id}) {problem.words}; give it another parent, then repair."
            for problem in after.problems
            if problem.kind == integrity.CIRCLE
        ]
    return "\n".join(lines)
