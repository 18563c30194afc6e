"""Write organizations and their attributes to a CSV file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.command import Answer, OperatorCommand, Refused
from flagsite.core.db.snapshot import snapshot
from flagsite.core.words import counted
from orgs.access.visible_organizations import find_organization
from orgs.importing.organization_export import export_organizations


class Command(OperatorCommand):
    help = "Write all organizations with their attributes to FILE, as CSV that import_organizations reads."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--below", metavar="ORG", help="write this organization and everything below it only")

    def answer(self, *, file: Path, below: str | None, **options: Any) -> Answer:
        try:
            with snapshot(), file.open("w", encoding="utf-8", newline="") as stream:
                top = find_organization(below).subtree if below else None
                count = export_organizations(stream, below=top)
        except OSError as error:
            raise Refused(f"{file} cannot be written: {error.strerror}.") from error
        document = {"file": str(file), "organizations": count}
        return Answer(document, [f"{file} has {counted(count, 'organization')}."])
