"""Upload a file for a job."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand, Refused, me
from jobs.artifacts.serializers import artifacts_document
from jobs.artifacts.upload_parsers import AnyFile
from jobs.artifacts.uploads import upload
from orgs.access.caller import Caller
from orgs.access.models import Role


class Command(OperatorCommand):
    help = "Upload a file for a job. The arguments of the job name it by the number that this command shows."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        add_reason(parser)

    def answer(self, *, file: Path, reason: str, **options: Any) -> Answer:
        media_type = mimetypes.guess_type(file.name)[0] or AnyFile.media_type
        try:
            with file.open("rb") as content:
                artifact = upload(
                    Caller(me(), Role.ADMIN), content, name=file.name, media_type=media_type, reason=reason
                )
        except OSError as error:
            raise Refused(f"{file}: {error.strerror}.") from None
        (document,) = artifacts_document([artifact])
        until = f"{artifact.expires_at:%Y-%m-%d}"
        return Answer(document, [f"The file is artifact {artifact.pk}, and stays until {until}."])
