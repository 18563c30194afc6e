"""The base of the commands for operators: one way to print, to answer in JSON, to refuse and to end.

Exit status: 0 it is done; 1 something was refused or failed; 2 wrong usage; 130 Ctrl-C while watching.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn
from uuid import uuid4

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError, ProgrammingError
from rich.console import RenderableType

from flagsite.core import actor
from flagsite.core.console import terminal
from flagsite.core.errors import FlagsiteError


class Refused(CommandError):
    """What was asked for cannot be done, and why."""


class WrongUsage(CommandError):
    """The words on the command line make no sense."""

    def __init__(self, message: str) -> None:
        super().__init__(message, returncode=2)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command has to say: `document` with --json, `shown` to people; `failed` makes the exit status 1.

    `complaint` is said on standard error, where people and programs look for what went wrong.
    """

    document: Any
    shown: Sequence[RenderableType] = ()
    failed: bool = False
    complaint: str = ""


def answer_of_each(results: Sequence[Any], shown: Sequence[RenderableType], *, refused: int) -> Answer:
    """The answer of a command that did the same to several; it failed when it was refused for one of them."""
    done = len(results) - refused
    document = {"done": done, "refused": refused, "results": results}
    sentence = f"{done:,} done, {refused:,} refused."
    if refused:
        return Answer(document, shown, failed=True, complaint=sentence)
    return Answer(document, [*shown, sentence] if len(results) > 1 else shown)


class OperatorCommand(BaseCommand):
    """A command that answers: subclasses have `add_options` and `answer`.

    With --json one document is all of standard output, also when something is refused: then it is {"error": "…"}.
    Log lines below errors are shown with --verbosity 2 only.
    """

    requires_system_checks = []  # they take longer than most commands; doctor makes them

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.error = partial(self._refuse, parser.error)  # type: ignore[method-assign]
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON document, nothing else")
        self.add_options(parser)

    def add_options(self, parser: CommandParser) -> None:
        """The command's own arguments."""

    def answer(self, *args: Any, **options: Any) -> Answer:
        """Do what the command is for. FlagsiteErrors become one line and exit status 1."""
        raise NotImplementedError

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.ending = ""  # what is written has its own ends of lines
        try:
            _check_texts(options)
            with _quiet(verbose=options["verbosity"] > 1), _with_correlation_id():
                answer = self.answer(**options)
        except CommandError as error:
            self._tell_programs(str(error), **options)
            raise
        except (FlagsiteError, OperationalError, InterfaceError, ProgrammingError) as error:
            words = in_words(error)
            self._tell_programs(words, **options)
            raise Refused(words) from error
        self._say(answer, **options)
        if answer.complaint:
            self.stderr.write(answer.complaint)
        if answer.failed:
            sys.exit(1)

    def _say(self, answer: Answer, *, json: bool, no_color: bool, force_color: bool, **_: Any) -> None:
        if json:
            self._write(_as_json(answer.document))
        else:
            console = terminal.console_for(self.stdout, no_color=no_color, force_color=force_color)  # type: ignore[arg-type]
            self._write(terminal.rendered(console, answer.shown))

    def _tell_programs(self, words: str, *, json: bool, **_: Any) -> None:
        if json:
            self._write(_as_json({"error": words}))

    def _refuse(self, refuse: Callable[[str], NoReturn], words: str) -> NoReturn:
        """What argparse says of wrong usage before there are any options, to programs too."""
        self._tell_programs(words, json="--json" in sys.argv)
        refuse(words)

    def _write(self, text: str) -> None:
        try:
            if text:
                self.stdout.write(text)
                self.stdout.flush()
        except BrokenPipeError:  # the reader, such as head, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def me() -> str:
    """The actor that runs the command."""
    return actor.current().actor


def _as_json(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _check_texts(options: dict[str, Any]) -> None:
    """Refuse what no column of text can hold: bytes that are not UTF-8, the zero character."""
    for value in options.values():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and ("\x00" in text or not _is_unicode(text)):
                raise WrongUsage(f"{text!a} is not text in UTF-8.")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def in_words(error: Exception) -> str:
    """What a person is told of one of ours, or of a database that is away or lacks its tables."""
    if isinstance(error, FlagsiteError):
        return error.detail
    first_line = str(error).strip().partition("\n")[0]
    if isinstance(error, ProgrammingError):
        return f"The tables are not as this version expects them ({first_line}). Run bin/manage migrate."
    return f"The database does not answer: {first_line}. bin/manage doctor looks for the cause."


@contextmanager
def _quiet(*, verbose: bool) -> Iterator[None]:
    """Keep the log of a server out of what a person reads."""
    root = logging.getLogger()
    level = root.level
    if not verbose:
        root.setLevel(max(level, logging.ERROR))
    try:
        yield
    finally:
        root.setLevel(level)


@contextmanager
def _with_correlation_id() -> Iterator[None]:
    """Give all that the command does one id, in the audit log, on its jobs and on their log lines."""
    given = actor.current().correlation_id or f"command-{uuid4().hex}"
    with actor.acting("command", correlation_id=given):
        yield
