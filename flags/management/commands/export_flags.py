"""Export all definitions as one file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from flags.moving import flag_file
from flags.moving.console import write_text
from flagsite.core.console.command import Answer, OperatorCommand
from flagsite.core.words import counted


class Command(OperatorCommand):
    help = "Export all definitions as one file, which import_flags reads. The same definitions give the same bytes."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="the new file; else standard output")
        parser.add_argument("--archived", action="store_true", help="archived flags too")

    def answer(self, *, file: Path | None, archived: bool, **options: Any) -> Answer:
        content, revision = flag_file.document_and_revision(with_archived=archived)
        text = flag_file.text_of(content)
        if file is None:
            if not options["json"]:  # which writes the same document
                self.stdout.write(text)
            return Answer(json.loads(text))
        write_text(file, text)
        number = len(content["flags"])
        document = {"file": str(file), "flags": number, "revision": revision}
        return Answer(document, [f"{counted(number, 'flag')} written to {file}."])
