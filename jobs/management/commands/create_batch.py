"""Create a batch, or add members to one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason, row_id
from flagsite.core.console.command import Answer, OperatorCommand, WrongUsage
from flagsite.core.words import counted
from jobs.batches.operations import batch_for
from jobs.batches.requests import add_for, checked, create_for
from jobs.batches.serializers import AddMembersInput
from jobs.console.batch_tables import batch_documents, operator

STANDARD_INPUT = "-"


class Command(OperatorCommand):
    help = (
        "Create a batch from a JSON document, which looks like the body of POST /v1/queue/batches: name, members, and "
        "perhaps key, organizationId, failurePolicy, onFinish, trigger, priority. With --into, the members of the "
        "document are added to an open batch."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help="a file with the document; - for standard input")
        parser.add_argument("--into", type=row_id, metavar="BATCH", help="add the members to this batch")
        add_reason(parser)

    def answer(self, *, file: str, into: int | None, reason: str, **options: Any) -> Answer:
        document = _read(file)
        if into is not None:
            values = checked(document, AddMembersInput)
            batch = add_for(operator(), batch_for(operator(), into).pk, values, reason=reason)
            return Answer(batch_documents([batch])[0], [f"Batch {batch.pk} has {counted(batch.total, 'member')} now."])
        created = create_for(operator(), checked(document), reason=reason)
        batch, word = created.batch, "is open already" if created.is_deduplicated else "is created"
        sentence = f"Batch {batch.pk} {word}, with {counted(batch.total, 'member')}."
        return Answer(batch_documents([batch])[0] | {"deduplicated": created.is_deduplicated}, [sentence])


def _read(file: str) -> Any:
    try:
        return json.loads(sys.stdin.read() if file == STANDARD_INPUT else Path(file).read_text("utf-8"))
    except OSError as error:
        raise WrongUsage(f"The file {file} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise WrongUsage(f"The file {file} is not valid JSON: {error}.") from None
