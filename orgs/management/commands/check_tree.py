"""Verify the tree columns against the parent links, and repair them."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from orgs.tree import integrity
from orgs.tree.integrity import TreeReport


class Command(BaseCommand):
    help = (
        "Verify lft, rght, level and tree_id of every organization against the parent links, and say what is wrong. "
        "Exit status 1 when something is, after the repair if one was asked for."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--repair", action="store_true", help="write the columns that the parent links give")
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of words")

    def handle(self, *args: Any, repair: bool, **options: Any) -> None:
        found = left = integrity.find_problems()
        written = None
        if repair and not found.sound:
            written = integrity.repair()
            left = integrity.find_problems()
        tell = _as_json if options["json"] else _in_words
        self.stdout.write(tell(found, written, left))
        if not left.sound:
            raise CommandError(f"The tree is not sound. {_advice(left, repair=repair)}".rstrip())


def _advice(left: TreeReport, *, repair: bool) -> str:
    if integrity.CIRCLE in left.counts:
        return "Parents go in a circle: give one organization of each circle another parent, then check again."
    return "" if repair else "check_tree --repair makes it so."


def _as_json(found: TreeReport, written: int | None, left: TreeReport) -> str:
    return json.dumps(
        {
            "sound": left.sound,
            "organizations": found.organizations,
            "counts": found.counts,
            "problems": [
                {"kind": one.kind, "organizationId": one.organization_id, "key": one.key, "words": one.words}
                for one in found.problems
            ],
            "repairedOrganizations": written,
            "countsAfterRepair": None if written is None else left.counts,
        }
    )


def _in_words(found: TreeReport, written: int | None, left: TreeReport) -> str:
    if found.sound:
        return f"The tree is sound: {found.organizations:,} organizations."
    lines = [f"{problem.key} (id {problem.organization_id}) {problem.words}." for problem in found.problems]
    more = sum(found.counts.values()) - len(lines)
    lines += [f"and {more:,} more of the same kinds."] if more else []
    if written is not None:
        lines.append(f"Repaired: the columns of {written:,} organizations were written.")
        lines += [
            f"{problem.key} (id {problem.organization_id}) {problem.words}; give it another parent, then repair."
            for problem in left.problems
            if problem.kind == integrity.CIRCLE
        ]
    return "\n".join(lines)
