"""Upload a file for a job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand
from jobs.artifacts.serializers import artifacts_document
from jobs.console.uploading import upload_file


class Command(OperatorCommand):
    help = "Upload a file for a job. The arguments of the job name it by the number that this command shows."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        add_reason(parser)

    def answer(self, *, file: Path, reason: str, **options: Any) -> Answer:
        artifact = upload_file(file, reason=reason)
        (document,) = artifacts_document([artifact])
        until = f"{artifact.expires_at:%Y-%m-%d}"
        return Answer(document, [f"The file is artifact {artifact.pk}, and stays until {until}."])
