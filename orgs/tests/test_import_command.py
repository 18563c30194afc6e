"""The command import_organizations: what it prints, and its exit status."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import call_command, execute_from_command_line
from django.core.management.base import CommandError

from orgs.tests.trees import paths


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tree.csv"
    path.write_text("key,name,parent_key\nb,B,a\na,A,\n")
    return path


def test_it_says_what_it_did_and_which_steps_it_took(db: None, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("import_organizations", file)
    output = capsys.readouterr()
    assert output.out == "2 organizations created, 0 renamed, 0 moved, 0 unchanged.\n"
    assert output.err.splitlines() == [
        "Reading the file …", "Comparing with the database …", "Computing the tree …", "Writing organizations …",
        "Taking over flag states …",
    ]  # fmt: skip
    assert paths() == {"a", "a/b"}


def test_it_says_when_there_was_nothing_to_do(db: None, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("import_organizations", file)
    capsys.readouterr()
    call_command("import_organizations", file)
    assert capsys.readouterr().out == "Nothing to change: all 2 organizations are as the file says.\n"


def test_it_draws_a_bar_on_a_terminal(
    db: None, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    call_command("import_organizations", file)
    assert "Writing organizations" in (errors := capsys.readouterr().err)
    assert "━" in errors


def test_it_names_the_lines_at_fault_and_exits_with_1(db: None, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("key,name,parent_key\na,A,b\nb,,\n")
    with pytest.raises(SystemExit) as end:
        execute_from_command_line(["manage.py", "import_organizations", str(file)])
    assert end.value.code == 1
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "CommandError: line 3: The name is empty.",
        "The file cannot be imported: 1 problem. Nothing was changed.",
    ]


def test_it_names_every_line_at_fault(db: None, file: Path) -> None:
    file.write_text("key,name,parent_key\n" + "".join(f"k{n},,\n" for n in range(1_005)))
    with pytest.raises(CommandError) as error:
        call_command("import_organizations", file)
    lines = str(error.value).splitlines()
    assert [line.partition(":")[0] for line in lines[:-1]] == [f"line {number}" for number in range(2, 1_007)]
    assert lines[-1] == "The file cannot be imported: 1,005 problems. Nothing was changed."


def test_a_file_that_cannot_be_read_is_told(db: None, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read: No such file"):
        call_command("import_organizations", tmp_path / "missing.csv")
