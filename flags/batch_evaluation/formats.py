"""The files of a batch evaluation: CSV, a JSON object on each line, or Parquet."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, ClassVar, Protocol

import orjson

from flags.serving.organization_snapshot import OrganizationSnapshot
from flags.serving.resolution import ERROR_CODES, Resolution
from flags.values.served import as_json
from flags.values.types import FlagType
from flagsite.core.csv_output import harmless

COLUMNS = (
    "organizationId", "organizationKey", "targetingKey", "flag", "enabled", "variant", "reason", "rule", "errorCode",
    "value",
)  # fmt: skip
MOST_TAILS = 100_000
"""How many resolutions are kept with their text."""
NEEDS_QUOTES = re.compile('[",\r\n]')
PARQUET_MISSING = (
    "Parquet needs the package pyarrow, which is not installed here. Install it where workers and web processes run, "
    "or choose csv or jsonl."
)
Block = tuple[OrganizationSnapshot, Sequence[str], Sequence[Resolution]]
"""An organization, some users, and the resolutions of all flags for the first user, then for the second, and so on."""


def values_of(resolution: Resolution) -> tuple[Any, ...]:
    """Return what a resolution says, in the order of the columns from `flag` on, without the value."""
    if resolution.error is not None:
        return resolution.key, None, None, "ERROR", resolution.rule.value, ERROR_CODES[resolution.error]
    variant = resolution.variant or None
    return resolution.key, resolution.enabled, variant, resolution.reason.value, resolution.rule.value, None


def value_text(resolution: Resolution) -> str | None:
    """Return the value of a resolution in JSON; None if there is none."""
    return None if resolution.value is None else as_json(resolution.value, resolution.flag_type).decode()


class Writer(Protocol):
    """Writes the evaluations of one file."""

    media_type: ClassVar[str]

    def write(self, block: Block) -> None:
        """Write some evaluations."""

    def close(self) -> None:
        """Write what is left."""


class _LineWriter:
    """Writes a line for each evaluation. The end of a line is the same for all evaluations with one resolution."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._tails: dict[Resolution, bytes] = {}

    def write(self, block: Block) -> None:
        organization, users, resolutions = block
        tails = self._tails
        if len(tails) > MOST_TAILS:
            tails.clear()
        for resolution in set(resolutions):
            if resolution not in tails:
                tails[resolution] = self.tail(resolution)
        beginning, count = self.beginning(organization), len(resolutions) // len(users)
        lines: list[bytes] = []
        for index, user in enumerate(users):
            start = beginning + self.user(user)
            lines += [start + tails[each] for each in resolutions[index * count : (index + 1) * count]]
        self._file.write(b"".join(lines))

    def close(self) -> None:
        pass

    def beginning(self, organization: OrganizationSnapshot) -> bytes:
        raise NotImplementedError

    def user(self, targeting_key: str) -> bytes:
        raise NotImplementedError

    def tail(self, resolution: Resolution) -> bytes:
        raise NotImplementedError


class CsvWriter(_LineWriter):
    """CSV in UTF-8. A text that a spreadsheet would run as a formula gets an apostrophe before it."""

    media_type = "text/csv"

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        file.write(",".join(COLUMNS).encode() + b"\r\n")

    def beginning(self, organization: OrganizationSnapshot) -> bytes:
        return f"{organization.organization_id},{_cell(organization.keys[-1])},".encode()

    def user(self, targeting_key: str) -> bytes:
        return f"{_cell(targeting_key)},".encode()

    def tail(self, resolution: Resolution) -> bytes:
        value = value_text(resolution) or ""
        is_number = resolution.flag_type in (FlagType.INTEGER, FlagType.FLOAT)  # -5 is no formula
        cells = [*(_cell(_word(each)) for each in values_of(resolution)), value if is_number else _cell(value)]
        return (",".join(cells) + "\r\n").encode()


class JsonLinesWriter(_LineWriter):
    """A JSON object on each line, in UTF-8."""

    media_type = "application/jsonl"

    def beginning(self, organization: OrganizationSnapshot) -> bytes:
        start = {"organizationId": organization.organization_id, "organizationKey": organization.keys[-1]}
        return orjson.dumps(start)[:-1] + b","

    def user(self, targeting_key: str) -> bytes:
        return orjson.dumps({"targetingKey": targeting_key or None})[1:-1] + b","

    def tail(self, resolution: Resolution) -> bytes:
        start = orjson.dumps(dict(zip(COLUMNS[3:-1], values_of(resolution), strict=True)))[1:-1]
        return start + f',"value":{value_text(resolution) or "null"}}}\n'.encode()


class ParquetWriter:
    """Parquet, with a row group for each ROWS_OF_GROUP evaluations."""

    media_type = "application/vnd.apache.parquet"
    ROWS_OF_GROUP: ClassVar[int] = 100_000

    def __init__(self, file: BinaryIO) -> None:
        import pyarrow as arrow  # noqa: PLC0415 - optional
        from pyarrow import parquet  # noqa: PLC0415

        text = arrow.dictionary(arrow.int32(), arrow.string())
        types = [arrow.int64(), text, text, text, arrow.bool_(), text, text, text, text, text]
        self._arrow = arrow
        self._schema = arrow.schema(list(zip(COLUMNS, types, strict=True)))
        self._writer = parquet.ParquetWriter(file, self._schema)
        self._columns: list[list[Any]] = [[] for _ in COLUMNS]

    def write(self, block: Block) -> None:
        organization, users, resolutions = block
        count = len(resolutions) // len(users)
        columns = self._columns
        columns[0] += [organization.organization_id] * len(resolutions)
        columns[1] += [organization.keys[-1]] * len(resolutions)
        for user in users:
            columns[2] += [user or None] * count
        values = {resolution: (*values_of(resolution), value_text(resolution)) for resolution in set(resolutions)}
        for index, column in enumerate(zip(*[values[each] for each in resolutions], strict=True), start=3):
            columns[index] += column
        if len(columns[0]) >= self.ROWS_OF_GROUP:
            self._flush()

    def close(self) -> None:
        if self._columns[0]:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        arrays = [
            self._arrow.array(column, type=field.type)
            for column, field in zip(self._columns, self._schema, strict=True)
        ]
        self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))
        self._columns = [[] for _ in COLUMNS]


WRITERS: dict[str, Callable[[BinaryIO], Any]] = {"csv": CsvWriter, "jsonl": JsonLinesWriter, "parquet": ParquetWriter}
MEDIA_TYPES = {
    "csv": CsvWriter.media_type, "jsonl": JsonLinesWriter.media_type, "parquet": ParquetWriter.media_type,
}  # fmt: skip


def has_parquet() -> bool:
    """Return whether this process can write Parquet."""
    return importlib.util.find_spec("pyarrow") is not None


def _word(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _cell(text: str) -> str:
    text = harmless(text)
    return '"' + text.replace('"', '""') + '"' if NEEDS_QUOTES.search(text) else text
