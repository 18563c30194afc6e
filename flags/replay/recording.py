"""A file of recorded answers: JSON lines, each with an evaluation context and what a former product answered for it.

A line is `{"context": {"targetingKey": …}, "flags": {"checkout": {"value": true}}}`. Every error names its line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NoReturn

import orjson

from flags.serving.ofrep.evaluation_context import Context
from flags.targeting.json_attributes import WrongAttributes, check_attributes
from jobs.errors import PermanentFailure

MAX_BYTES = 256 * 2**20
LONGEST_LINE = 2**20
"""Bytes of a line."""
LINES_BETWEEN_CHECKS = 10_000
MAX_CONTEXTS = 1_000_000
MAX_ORGANIZATIONS = 10_000
"""How many organizations the contexts of a file may name."""
MAX_FLAGS = 10_000
"""How many flags a file may name."""
LONGEST_NAME = 1_000
"""Characters of the name of a flag or an organization."""
COMPARED = ("value", "variant", "errorCode")
"""The members of an answer that are compared; others may be there and do not count."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
Answer = Mapping[str, Any]
"""Those members of a recorded answer that are compared."""


@dataclass(frozen=True, slots=True)
class RecordedContext:
    """A line of the file: an evaluation context, and the recorded answers by flag."""

    line: int
    context: Context
    answers: Mapping[str, Answer]


@dataclass(slots=True)
class Contents:
    """What a whole file has: its size and SHA-256, and how many contexts and answers it records."""

    contexts: int = 0
    answers: int = 0
    size: int = 0
    sha256: str = ""
    organizations: dict[str, RecordedContext] = field(default_factory=dict)
    """For each organization that a context names (`organization_in`), the first such context, without its answers."""
    flags: set[str] = field(default_factory=set)


def recorded_contexts(content: BinaryIO, check: Callable[[], None]) -> Iterator[RecordedContext]:
    """Yield each line of a file from its beginning. Empty lines do not count.

    Args:
        content: the file.
        check: raises an exception if the work should not go on. It is called after some thousand lines, empty or not.

    Raises PermanentFailure, and what `check` raises.
    """
    content.seek(0)
    for number, line in _lines(content):
        if number % LINES_BETWEEN_CHECKS == 0:
            check()
        if line.strip():
            yield _read(number, line)


def contents_of(contexts: Iterator[RecordedContext], content: BinaryIO) -> Contents:
    """Read a whole file, and check that it is small enough and compares something.

    Args:
        contexts: the recorded contexts of the file.
        content: the file.

    Returns:
        What the file has.

    Raises:
        PermanentFailure: a line cannot be read, or the file has too much or nothing.
    """
    found = Contents()
    for recorded in contexts:
        found.contexts += 1
        found.answers += len(recorded.answers)
        found.flags.update(recorded.answers)
        name = organization_in(recorded)
        if name not in found.organizations:
            named = {each: recorded.context[each] for each in _OF_ORGANIZATION if each in recorded.context}
            found.organizations[name] = RecordedContext(recorded.line, named, {})
        _check(recorded.line, found)
    if not found.answers:
        raise PermanentFailure("The file has no answers, so there is nothing to compare.")
    content.seek(0)
    found.sha256 = hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]
    found.size = content.tell()
    return found


def organization_in(recorded: RecordedContext) -> str:
    """Return a text that is the same for all contexts that name the same organization in the same way.

    Raises PermanentFailure if the name is too long for one.
    """
    name = repr([recorded.context.get(each) for each in _OF_ORGANIZATION])
    if len(name) > LONGEST_NAME:
        refuse(recorded.line, "There is no such organization, because the name is too long for one.")
    return name


def refuse(line: int, why: str) -> NoReturn:
    """Raise PermanentFailure for a line."""
    raise PermanentFailure(f"Line {line}: {why}")


_OF_ORGANIZATION = ("organizationId", "organizationKey")


def _check(line: int, found: Contents) -> None:
    for count, most, what in (
        (found.contexts, MAX_CONTEXTS, "contexts"),
        (len(found.organizations), MAX_ORGANIZATIONS, "organizations"),
        (len(found.flags), MAX_FLAGS, "flags"),
    ):
        if count > most:
            refuse(line, f"The file has more than {most:,} {what}. Split it.")


def _lines(content: BinaryIO) -> Iterator[tuple[int, bytes]]:
    number = 0
    while line := content.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE and not line.endswith(b"\n"):
            refuse(number, f"It is longer than {LONGEST_LINE:,} bytes.")
        yield number, line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line


def _read(number: int, line: bytes) -> RecordedContext:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        refuse(number, f"It is not JSON: {error.msg}, column {error.colno}.")
    context, flags = (found.get("context"), found.get("flags")) if isinstance(found, dict) else (None, None)
    if not isinstance(context, dict) or not isinstance(flags, dict):
        refuse(number, 'It must have the form {"context": {"targetingKey": "…"}, "flags": {"checkout": {"value": …}}}.')
    try:
        check_attributes(context)
    except WrongAttributes as error:
        refuse(number, str(error))
    return RecordedContext(number, context, {flag: _answer(number, flag, each) for flag, each in flags.items()})


def _answer(number: int, flag: str, answer: Any) -> Answer:
    if len(flag) > LONGEST_NAME:
        refuse(number, f"The name of a flag is longer than {LONGEST_NAME:,} characters.")
    compared = {each: answer[each] for each in COMPARED if each in answer} if isinstance(answer, dict) else {}
    if not compared:
        refuse(number, f"The answer of {flag!r} must be an object with value, variant or errorCode.")
    for each in ("variant", "errorCode"):
        if compared.get(each, "") is None:
            compared[each] = ""
        elif not isinstance(compared.get(each, ""), str):
            refuse(number, f"The {each} of {flag!r} must be a text or null.")
    return compared
