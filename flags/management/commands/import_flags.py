"""Import the definitions of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from flags.moving import words, writing
from flags.moving.console import content_of
from flags.moving.reading import read_flag_file, read_text
from flags.moving.serializers import WrittenSerializer
from flags.moving.writing import Mode
from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand, me


class Command(OperatorCommand):
    help = "Define and change flags as FILE says, which export_flags has written: all of them, or none."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument(
            "--mirror", action="store_true", help="archive the flags that FILE does not have, and set missing fields"
            " to their defaults",
        )  # fmt: skip
        parser.add_argument("--plan", action="store_true", help="only say what would change")
        add_reason(parser)

    def answer(self, *, file: Path, mirror: bool, plan: bool, **options: Any) -> Answer:
        entries = read_flag_file(read_text(content_of(file))).entries
        mode = Mode.MIRROR if mirror else Mode.MERGE
        written = (writing.plan if plan else writing.write)(entries, mode, by=me())
        shown = [*words.lines_of(written), words.summary(written)]
        return Answer(_document(written), [*shown, "Nothing was written."] if plan else shown)


def _document(written: writing.Written) -> Any:
    return WrittenSerializer(written).data
