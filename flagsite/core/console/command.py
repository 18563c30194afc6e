"""The base class of the commands for operators: output for people, output in JSON, errors and exit status.

Exit status: 0 success; 1 something was refused or failed; 2 wrong usage; 130 Ctrl-C while a command follows a job.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
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
from flagsite.core.db.requirements import UnsuitableDatabase
from flagsite.core.errors import FlagsiteError


class Refused(CommandError):
    """The operation was refused; the message gives the reason."""


class WrongUsage(CommandError):
    """The arguments of the command are wrong."""

    def __init__(self, message: str) -> None:
        super().__init__(message, returncode=2)


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a command: `document` for --json, `shown` for people.

    `failed` sets the exit status to 1. `error_summary` goes to standard error.
    """

    document: Any
    shown: Sequence[RenderableType] = ()
    failed: bool = False
    error_summary: str = ""


def result_of_each(results: Sequence[Any], shown: Sequence[RenderableType], *, refused: int) -> Answer:
    """Return the answer of a command that did one operation on several rows; it has failed if one was refused."""
    done = len(results) - refused
    document = {"done": done, "refused": refused, "results": results}
    sentence = f"{done:,} done, {refused:,} refused."
    if refused:
        return Answer(document, shown, failed=True, error_summary=sentence)
    return Answer(document, [*shown, sentence] if len(results) > 1 else shown)


class PlainCommand(BaseCommand):
    """A command whose refusal is its message alone. Django prints the name of the exception's class before it."""

    is_in_terminal = False
    """Whether a person or a script has started the command, and not other code."""

    def run_from_argv(self, argv: list[str]) -> None:
        self.is_in_terminal = True
        super().run_from_argv(argv)

    def execute(self, *args: Any, **options: Any) -> Any:
        """Run the command. If it refuses, a terminal gets the message; other code gets the exception."""
        try:
            return super().execute(*args, **options)
        except CommandError as error:
            if not self.is_in_terminal or options["traceback"]:
                raise
            self.stderr.write(str(error))
            sys.exit(error.returncode)


class OperatorCommand(PlainCommand):
    """A command for operators. A subclass defines `add_options` and `answer`.

    With --json, standard output is one JSON document. If an operation is refused, this document is {"error": "…"}.
    The command logs what it does, as every other process does. Of libraries it logs errors only, unless --verbosity is
    2 or more. With --verbosity 0 it logs errors only.
    """

    requires_system_checks = []  # they take longer than most commands; the command doctor runs them

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.error = partial(self._refuse, parser.error)  # type: ignore[method-assign]
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON document, nothing else")
        self.add_options(parser)

    def add_options(self, parser: CommandParser) -> None:
        """Add the command's own arguments."""

    def answer(self, *args: Any, **options: Any) -> Answer:
        """Run the command and return its result. A FlagsiteError becomes a message in one line and exit status 1."""
        raise NotImplementedError

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.ending = ""  # the output has its own line ends
        try:
            _check_texts(options)
            with _log_level(options["verbosity"]), acting_as_command(reason=options.get("reason", "")):
                answer = self.answer(**options)
        except CommandError as error:
            error.args = (_with_dashes(str(error), options),)
            self._write_json_error(str(error), **options)
            raise
        except (FlagsiteError, OperationalError, InterfaceError, ProgrammingError) as error:
            message = _with_dashes(error_message(error), options)
            self._write_json_error(message, **options)
            raise Refused(message) from error
        self._write_answer(answer, **options)
        if answer.error_summary:
            self.stderr.write(answer.error_summary)
        if answer.failed:
            sys.exit(1)

    def _write_answer(self, answer: Answer, *, json: bool, no_color: bool, force_color: bool, **_: Any) -> None:
        if json:
            self._write(_as_json(answer.document))
        else:
            console = terminal.console_for(self.stdout, no_color=no_color, force_color=force_color)  # type: ignore[arg-type]
            self._write(terminal.render(console, answer.shown))

    def _write_json_error(self, message: str, *, json: bool, **_: Any) -> None:
        if json:
            self._write(_as_json({"error": message}))

    def _refuse(self, refuse: Callable[[str], NoReturn], message: str) -> NoReturn:
        """Print argparse's message about wrong usage, in JSON too. The options are not parsed yet."""
        self._write_json_error(message, json="--json" in sys.argv)
        refuse(message)

    def _write(self, text: str) -> None:
        try:
            if text:
                self.stdout.write(text)
                self.stdout.flush()
        except BrokenPipeError:  # the reader, such as head, has closed the pipe
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def me() -> str:
    """Return the actor that runs the command."""
    return actor.current().actor


def _with_dashes(message: str, options: Collection[str]) -> str:
    """Return the message with the command's own options as people write them: `option key_prefix` has dashes there.

    All channels share the messages of the rules, which name an option without dashes.
    """

    def dashed(found: re.Match[str]) -> str:
        return f"option --{found[1].replace('_', '-')}" if found[1] in options else found[0]

    return re.sub(r"\boption ([a-z_]+)\b", dashed, message)


def _as_json(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _check_texts(options: dict[str, Any]) -> None:
    """Refuse text that PostgreSQL cannot store: bytes that are not UTF-8, and the character NUL."""
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


def error_message(error: Exception) -> str:
    """Return the message for a FlagsiteError, for an unreachable database or for missing tables."""
    if isinstance(error, FlagsiteError):
        return error.detail
    if isinstance(error, UnsuitableDatabase):
        return str(error)
    first_line = str(error).strip().partition("\n")[0]
    if isinstance(error, ProgrammingError):
        return f"The tables do not fit this version ({first_line}). Run bin/manage migrate."
    return f"The database does not answer: {first_line}. bin/manage doctor looks for the cause."


VERBOSE = 2
"""The --verbosity with which a command also logs what libraries do."""
OWN_LOGGERS = ("flagsite", "flags", "jobs", "orgs")


@contextmanager
def _log_level(verbosity: int) -> Iterator[None]:
    """Hide log entries of libraries below the level error, unless `verbosity` is 2 or more; all of them if it is 0."""
    root, own = logging.getLogger(), [logging.getLogger(name) for name in OWN_LOGGERS]
    levels = [(logger, logger.level) for logger in (root, *own)]
    if verbosity < VERBOSE:
        for logger in own:
            logger.setLevel(root.level if verbosity else max(root.level, logging.ERROR))
        root.setLevel(max(root.level, logging.ERROR))
    try:
        yield
    finally:
        for logger, level in levels:
            logger.setLevel(level)


@contextmanager
def acting_as_command(*, reason: str = "") -> Iterator[None]:
    """Give the command's audit entries, jobs and log entries an actor, one correlation id and the reason.

    An actor from outside stays, such as the request that calls the command.
    """
    outside = actor.current()
    name = outside.actor if outside.has_actor else actor.command_actor()
    correlation_id = outside.correlation_id or f"command-{uuid4().hex}"
    with actor.acting("command", actor=name, correlation_id=correlation_id, reason=reason):
        yield
