"""Save the file of an artifact."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import row_id
from flagsite.core.console.command import Answer, OperatorCommand, Refused, me
from jobs.artifacts import files
from jobs.artifacts.uploads import find_artifact
from orgs.access.caller import Caller
from orgs.access.models import Role


class Command(OperatorCommand):
    help = "Save an artifact of a job as a file. A file that exists already stays as it is."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("job", type=row_id, metavar="ID", help="any attempt of the job's chain")
        parser.add_argument("name", metavar="NAME", help="the name of the artifact")
        parser.add_argument("--to", type=Path, metavar="FILE", help="where to save it (default: NAME, in this folder)")

    def answer(self, *, job: int, name: str, to: Path | None, **options: Any) -> Answer:
        artifact = find_artifact(Caller(me(), Role.ADMIN), job, name)
        target = to or Path(artifact.name)
        try:
            with files.opened(artifact.storage_key) as content, target.open("xb") as copy:
                shutil.copyfileobj(content, copy)
        except FileNotFoundError:
            raise Refused(f"The file of this artifact is gone, or there is no folder {target.parent}.") from None
        except OSError as error:
            raise Refused(f"{target}: {error.strerror}.") from None
        document = {"file": str(target), "bytes": artifact.size, "sha256": artifact.sha256}
        return Answer(document, [f"Saved {artifact.size:,} bytes in {target}."])
