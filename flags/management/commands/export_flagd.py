"""Export the flags of an organization for flagd."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from flags.moving import to_flagd
from flags.moving.console import write_text
from flagsite.core.console.command import Answer, OperatorCommand
from flagsite.core.words import counted
from orgs.access.visible_organizations import find_organization


class Command(OperatorCommand):
    help = (
        "Export the flags of an organization as a file for flagd. Names the flags that flagd would evaluate otherwise."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("organization", metavar="ORG")
        parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="the new file; else standard output")
        parser.add_argument("--environment", metavar="NAME", help="the environment whose overrides hold")

    def answer(self, *, organization: str, file: Path | None, environment: str | None, **options: Any) -> Answer:
        exported = to_flagd.export(find_organization(organization).pk, environment)
        text = json.dumps(exported.document, ensure_ascii=False, indent=2) + "\n"
        if file is None:
            if not options["json"]:
                self.stdout.write(text)
            return Answer(exported.document)
        write_text(file, text)
        remarks = [f"{each.flag} is not exported ({each.issue}): {each.detail}" for each in exported.not_exported]
        return Answer(
            exported.document, [*remarks, f"{counted(len(exported.document['flags']), 'flag')} written to {file}."]
        )
