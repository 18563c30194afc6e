"""The options of an import, which the command, the API and the admin site share, and the parsing of their texts."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from orgs.errors import InvalidImportOption

COLUMNS = ("key", "name", "parent_key")
"""The columns that an import reads. A file may have further columns."""
ENCODINGS = (
    "utf-8", "utf-16", "utf-16-le", "utf-16-be", "windows-1252", "windows-1250", "windows-1251", "iso-8859-1",
    "iso-8859-2", "iso-8859-15", "cp437", "cp850", "mac-roman", "shift_jis", "gb18030", "big5", "euc-kr",
)  # fmt: skip
_CODECS = {codecs.lookup(name).name: name for name in ENCODINGS}
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
"""Delimiters that also have a name, because some are hard to type."""
MAX_PREFIX_LENGTH = 100


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How to read a file, and which organizations it may change.

    `columns` has the names of the file's columns by our names. `key_prefix` is put before each key and each parent_key
    of the file. With `move_between_trees`, organizations may move to another tree.

    `scope_id` is the top of the caller's scope, and None means everything. With `below_id`, the import changes only the
    subtree of this organization, and rows without a parent_key are placed directly below it.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    key_prefix: str = ""
    delimiter: str = ","
    encoding: str = "utf-8"
    move_between_trees: bool = False
    scope_id: int | None = None
    below_id: int | None = None

    def __post_init__(self) -> None:
        """Raise InvalidImportOption if an option has no valid value."""
        object.__setattr__(self, "columns", _valid_columns(self.columns))
        object.__setattr__(self, "delimiter", _valid_delimiter(self.delimiter))
        object.__setattr__(self, "encoding", _valid_encoding(self.encoding))
        if len(self.key_prefix) > MAX_PREFIX_LENGTH or not self.key_prefix.isprintable() or self.key_prefix[:1] == " ":
            raise InvalidImportOption(
                "key_prefix",
                f"A key prefix has at most {MAX_PREFIX_LENGTH} printable characters and does not begin with a space.",
            )

    @property
    def top_id(self) -> int | None:
        """The top of the subtree that the import may change; None means everything."""
        return self.below_id or self.scope_id

    def as_json(self) -> dict[str, Any]:
        """Return the options as JSON, from which `ImportOptions(**…)` makes them again."""
        return asdict(self)


def columns_in(text: str) -> dict[str, str]:
    """Parse `key=code,name=title`: our column, then the file's column. Raises InvalidImportOption."""
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if not all(separator and theirs.strip() for _, separator, theirs in pairs):
        raise InvalidImportOption("columns", _columns_form())
    columns = {ours.strip(): theirs.strip() for ours, _, theirs in pairs}
    if len(columns) != len(pairs):
        raise InvalidImportOption("columns", f"A column occurs twice. {_columns_form()}")
    return _valid_columns(columns)


def _valid_columns(columns: Mapping[str, str]) -> dict[str, str]:
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown:
        raise InvalidImportOption("columns", f"There is no column {unknown[0]!r}. {_columns_form()}")
    names = {column: columns.get(column, column) for column in COLUMNS}
    if len(set(names.values())) != len(COLUMNS):
        raise InvalidImportOption("columns", "Two columns would be read from the same column of the file.")
    return names


def _columns_form() -> str:
    return f"Write the columns as key=code,name=title. The columns are {', '.join(COLUMNS)}."


def _valid_delimiter(text: str) -> str:
    delimiter = DELIMITERS.get(text, text)
    if len(delimiter) != 1 or delimiter in '"\r\n\x00' or (delimiter.isalnum() or delimiter == " "):
        names = ", ".join(DELIMITERS)
        raise InvalidImportOption("delimiter", f"A delimiter is one character, such as ; or one of: {names}.")
    return delimiter


def _valid_encoding(text: str) -> str:
    try:
        return _CODECS[codecs.lookup(text).name]
    except (LookupError, ValueError):
        raise InvalidImportOption(
            "encoding", f"Flagsite does not read this encoding. It reads: {', '.join(ENCODINGS)}."
        ) from None
