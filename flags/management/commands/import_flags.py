"""Import the definitions of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from flags.definitions.service import ANY
from flags.moving import words, writing
from flags.moving.console import content_of
from flags.moving.reading import Source, read_flag_file, read_import, read_text
from flags.moving.serializers import ImportedSerializer
from flags.moving.writing import Mode
from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand, WrongUsage, me

FLAGSITE = "flagsite"
"""The value of --from for a flag file."""


class Command(OperatorCommand):
    help = "Define and change flags as FILE says, a flag file or one of another product: all, or none."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument(
            "--from", dest="source", choices=[FLAGSITE, *(source.value for source in Source)], default=FLAGSITE,
            help="the product that has written FILE",
        )  # fmt: skip
        parser.add_argument("--environment", default="", metavar="NAME", help="of another product's file with several")
        parser.add_argument(
            "--mirror", action="store_true", help="archive the flags that FILE does not have, and set missing fields"
            " to their defaults",
        )  # fmt: skip
        parser.add_argument("--plan", action="store_true", help="only say what would change")
        parser.add_argument(
            "--if-revision", default="", metavar="REVISION",
            help="write nothing if the definitions have another revision than the plan or export_flags said",
        )  # fmt: skip
        add_reason(parser)

    def answer(
        self, *, file: Path, source: str, environment: str, mirror: bool, plan: bool, if_revision: str, **options: Any
    ) -> Answer:
        if source != FLAGSITE and mirror:
            raise WrongUsage("Only a flag file of Flagsite can be mirrored. Leave --mirror out.")
        content = read_text(content_of(file))
        reading = read_flag_file(content) if source == FLAGSITE else read_import(Source(source), content, environment)
        entries = reading.entries
        mode = Mode.MIRROR if mirror else Mode.MERGE
        written = (writing.plan if plan else writing.write)(
            entries, mode, by=me(), segments=reading.segments, expected={if_revision} if if_revision else ANY
        )
        shown = [*words.lines_of(written), *words.lines_about(reading.remarks), words.summary(written)]
        document = ImportedSerializer(written, context={"remarks": reading.remarks}).data
        if plan:
            shown += ["Nothing was written.", f"To write this and nothing else, add --if-revision {written.revision}"]
        return Answer({**document, "revision": written.revision}, shown)
