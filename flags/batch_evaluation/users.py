"""The users of a batch evaluation: from the arguments of the job, or from an uploaded file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import orjson

from jobs.artifacts.models import Artifact
from jobs.errors import PermanentFailure

COLUMN = "targetingKey"
MAX_USERS = 1_000_000
MAX_KEY_LENGTH = 1_000
JSON_LINES = {"application/jsonl", "application/x-ndjson", "application/json"}
NO_USER = ("",)
"""The one evaluation of each organization without a user."""


def in_file(artifact: Artifact, content: BinaryIO) -> list[str]:
    """Return the targeting keys of a file, each once, in their order.

    The file is CSV with the column `targetingKey`, or has on each line a JSON text or a JSON object with the member
    `targetingKey`. Raises PermanentFailure, whose message names the line.
    """
    is_json = artifact.media_type in JSON_LINES or artifact.name.endswith((".jsonl", ".ndjson"))
    found: dict[str, None] = {}
    try:
        for number, key in _from_json_lines(content) if is_json else _from_csv(content):
            if not isinstance(key, str) or not 0 < len(key) <= MAX_KEY_LENGTH or "\0" in key:
                raise PermanentFailure(
                    f"Line {number} of {artifact.name} has no valid targeting key. A targeting key is a text of 1 to "
                    f"{MAX_KEY_LENGTH:,} characters without NUL."
                )
            found[key] = None
            if len(found) > MAX_USERS:
                raise PermanentFailure(f"{artifact.name} has more than {MAX_USERS:,} users. Split the file.")
    except (UnicodeDecodeError, csv.Error) as error:
        raise PermanentFailure(f"{artifact.name} cannot be read: {error}. Save it as UTF-8.") from error
    if not found:
        raise PermanentFailure(f"{artifact.name} has no users.")
    return list(found)


def _from_json_lines(content: Iterable[bytes]) -> Iterator[tuple[int, object]]:
    for number, line in enumerate(content, start=1):
        if line.strip():
            try:
                value = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise PermanentFailure(f"Line {number} is not JSON: {error}.") from error
            yield number, value.get(COLUMN) if isinstance(value, dict) else value


def _from_csv(content: Iterable[bytes]) -> Iterator[tuple[int, object]]:
    rows = csv.reader(line.decode() for line in content)
    header = [name.strip().removeprefix("\ufeff") for name in next(rows, [])]
    if COLUMN not in header:
        raise PermanentFailure(f"The file has no column {COLUMN}. Its columns are: {', '.join(header)}.")
    index = header.index(COLUMN)
    for row in rows:
        if row:
            yield rows.line_num, row[index] if index < len(row) else ""
