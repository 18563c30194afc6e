"""What all commands for operators have in common: tables, JSON, exit status, one line for what was refused."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command, execute_from_command_line
from django.db import OperationalError, ProgrammingError

from flagsite.core import actor
from flagsite.core.console import terminal
from flagsite.core.console.arguments import count, iso_moment, reason, row_id, since
from flagsite.core.console.command import Answer, OperatorCommand, Refused, WrongUsage
from orgs.access import access_keys
from orgs.audit.models import AuditEntry
from orgs.errors import OrganizationNotFound
from orgs.tests.commands import run

FORGED = "\x1b[31mred\x1b[0m [bold]x[/] :smile: two\nlines"


class Made(OperatorCommand):
    """A command that does what the test says."""

    def __init__(self, act: Any) -> None:
        super().__init__()
        self.act = act

    def answer(self, **options: Any) -> Answer:
        result = self.act()
        assert isinstance(result, Answer)
        return result


def call(act: Any, *arguments: str) -> None:
    call_command(Made(act), *arguments)


def table() -> Answer:
    shown = terminal.table("Name", "Count")
    shown.add_row(*terminal.cells(FORGED, 12_345))
    return Answer({"name": FORGED, "count": 12_345}, [shown, "That is all."])


def raising(error: Exception) -> Any:
    def act() -> Answer:
        raise error

    return act


def test_in_a_pipe_a_row_is_a_line_without_colour(capsys: pytest.CaptureFixture[str]) -> None:
    call(lambda: Answer({}, [terminal.line("word " * 100), *table().shown]))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[0] == ("word " * 100).rstrip()
    assert "\x1b" not in "".join(lines)
    assert not any(line.endswith(" ") for line in lines)


def test_what_data_say_to_the_terminal_is_not_obeyed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    call(table)
    out = capsys.readouterr().out
    assert "\x1b[31m" not in out
    assert "�[31mred�[0m [bold]x[/] :smile: two lines" in out
    assert "12,345" in out


def test_colour_comes_on_a_terminal_only_and_not_against_ones_will(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    green = Answer({}, [terminal.line("fine", "green")])
    call(lambda: green)
    assert capsys.readouterr().out == "fine\n"
    monkeypatch.setenv("FORCE_COLOR", "1")
    call(lambda: green)
    assert capsys.readouterr().out == "\x1b[32mfine\x1b[0m\n"
    call(lambda: green, "--no-color")
    assert "\x1b[32m" not in capsys.readouterr().out


def test_json_is_one_document_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    call(table, "--json")
    assert json.loads(capsys.readouterr().out) == {"name": FORGED, "count": 12_345}


def test_what_failed_is_told_and_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        call(lambda: Answer({}, ["Two refused."], failed=True))
    assert end.value.code == 1
    assert capsys.readouterr().out == "Two refused.\n"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OrganizationNotFound("There is no organization 'x'."), "There is no organization 'x'."),
        (OperationalError("connection refused\nmore"), "The database does not answer: connection refused. bin/manage"),
        (ProgrammingError('relation "x" does not exist\nLINE 1'), "Run bin/manage migrate"),
    ],
)
def test_an_error_of_ours_is_one_line(error: Exception, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Refused) as refusal:
        call(raising(error), "--json")
    assert refusal.value.returncode == 1
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert json.loads(capsys.readouterr().out) == {"error": str(refusal.value)}


def test_a_fault_in_the_code_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        call(lambda: Answer(1 / 0))


def test_programs_are_told_of_wrong_usage_in_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["manage.py", "revoke_key", "--json"])
    with pytest.raises(SystemExit) as end:
        execute_from_command_line(sys.argv)
    assert end.value.code == 2
    assert "required: PREFIX" in json.loads(capsys.readouterr().out)["error"]


@pytest.mark.parametrize("word", ["\udcff", "a\x00b"])
def test_what_is_no_text_is_wrong_usage(word: str) -> None:
    with pytest.raises(WrongUsage) as refusal:
        call_command("revoke_key", word)
    assert refusal.value.returncode == 2


@pytest.mark.parametrize("arguments", [["no_such_option", "--nope"], [], ["x", "--role", "king"]])
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        execute_from_command_line(["manage.py", "create_key", *arguments])
    assert end.value.code == 2
    assert "usage: manage.py create_key" in capsys.readouterr().err


@contextmanager
def levels() -> Iterator[list[int]]:
    found: list[int] = []
    before = logging.getLogger().level
    yield found
    assert logging.getLogger().level == before


def test_the_log_is_quiet_unless_it_is_wanted() -> None:
    with levels() as found:

        def act() -> Answer:
            found.append(logging.getLogger().level)
            return Answer({})

        for verbosity in ("1", "2"):
            call(act, "--verbosity", verbosity)
    assert found[0] == logging.ERROR
    assert found[1] < logging.ERROR


def test_all_that_a_command_does_has_one_correlation_id() -> None:
    seen: list[str] = []

    def act() -> Answer:
        seen.extend([actor.current().correlation_id, actor.current().correlation_id])
        return Answer({})

    call(act)
    call(act)
    assert seen[0] == seen[1]
    assert seen[0].startswith("command-")
    assert seen[2] != seen[0]


def test_keys_are_listed_in_columns(db: None) -> None:
    assert run("list_keys").out == "There are no access keys.\n"
    record, _ = access_keys.create(name="nightly sync")
    assert run("list_keys").lines[1].split() == [
        record.prefix,
        "valid",
        "reader",
        "never",
        "everything",
        "nightly",
        "sync",
    ]


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "x", "", "9223372036854775808", "٣", " 1", "1e3"])
def test_an_id_is_a_whole_number_that_a_row_can_have(text: str) -> None:
    with pytest.raises(Exception, match="is not an id"):
        row_id(text)
    assert row_id("9223372036854775807") == 2**63 - 1


@pytest.mark.parametrize("text", ["0", "101", "-5", "x", "1_0", "1" * 30])
def test_a_count_has_bounds(text: str) -> None:
    with pytest.raises(Exception, match="is not a whole number from 1 to 100"):
        count(1, 100)(text)
    assert count(1, 100)("100") == 100


def test_since_is_how_long_ago_or_a_moment() -> None:
    assert since("90s") == timedelta(seconds=90)
    assert since("2w") == timedelta(days=14)
    assert since("2026-01-31") == iso_moment("2026-01-31T00:00:00Z")
    assert since("2026-01-31T01:00:00+01:00") == iso_moment("2026-01-31")
    for text in ("soon", "", "2026-02-30", "5", "-1d", "2y", "1" * 7 + "d"):
        with pytest.raises(Exception, match="is neither a time"):
            since(text)


def test_a_reason_has_an_end() -> None:
    with pytest.raises(Exception, match="1,001 characters"):
        reason("x" * 1_001)


@pytest.mark.parametrize(
    ("seconds", "words"), [(-1, "0.0 s"), (3.24, "3.2 s"), (61, "1 min 1 s"), (7_260, "2 h 1 min"), (90_000, "1 d 1 h")]
)
def test_a_length_of_time_is_told_in_two_units(seconds: float, words: str) -> None:
    assert terminal.format_duration(timedelta(seconds=seconds)) == words


@pytest.mark.django_db
@pytest.mark.parametrize(
    "arguments",
    [("create_key", "mine"), ("revoke_key", "{key}"), ("cleanup_jobs",), ("pause_queue", "default")],
)
def test_the_reason_of_a_command_is_in_its_audit_entries(arguments: tuple[str, ...]) -> None:
    prefix = access_keys.create(name="theirs")[0].prefix
    ran = run(*(argument.format(key=prefix) for argument in arguments), "--reason", "the 2nd try")
    assert ran.status == 0, ran.error
    assert AuditEntry.objects.latest("id").reason == "the 2nd try"
