"""The command import_organizations: what it prints, and its exit status."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command, execute_from_command_line
from django.core.management.base import CommandError

from conftest import Cast
from orgs.audit.models import AuditEntry
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
        "line 3: The name is empty.",
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
    with pytest.raises(CommandError, match="cannot be opened: No such file"):
        call_command("import_organizations", tmp_path / "missing.csv")


def told(capsys: pytest.CaptureFixture[str], file: Path, *options: str) -> list[str]:
    """What the command prints."""
    call_command("import_organizations", str(file), *options)
    return capsys.readouterr().out.splitlines()


def test_a_dry_run_lists_what_would_change_and_changes_nothing(
    cast: Cast, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("key,name,parent_key\na,A,\nb,B,a\nrome,Roma,north\nnorth,[N],acme\n")
    before = paths()
    assert told(capsys, file, "--dry-run") == [
        "line 4: rome (Rome): renamed to Roma and moved from below south to below north",
        "line 5: north (North): renamed to [N]",
        "line 2: a (A): created as a root",
        "line 3: b (B): created below a",
        "2 organizations would be created, 2 renamed, 1 moved, 0 unchanged.",
        "No organization would get another value of a flag.",
    ]
    assert paths() == before


def test_renames_and_moves_are_listed_after_an_import_too(
    cast: Cast, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("key,name,parent_key\na,A,\nrome,Rome,rival\n")
    assert told(capsys, file, "--move-between-trees", "--reason", "sold") == [
        "line 3: rome (Rome): moved from below south to below rival",
        "1 organization created, 0 renamed, 1 moved, 0 unchanged.",
    ]
    assert set(AuditEntry.objects.values_list("reason", flat=True)) == {"sold"}


def test_the_options_reach_the_import(cast: Cast, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_bytes("code;title;boss\na;Ærø;\n".encode("cp1252"))
    columns = "key=code,name=title,parent_key=boss"
    options = ["--below", "oslo", "--key-prefix", "x-", "--columns", columns, "--delimiter", ";"]
    assert told(capsys, file, *options, "--encoding", "windows-1252")[-1].startswith("1 organization created")
    assert "acme/north/oslo/x-a" in paths()


def test_the_answer_in_json_names_the_changes(cast: Cast, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("key,name,parent_key\nrome,Roma,south\n")
    document = json.loads("\n".join(told(capsys, file, "--json", "--dry-run")))
    assert document == {
        "dryRun": True, "rows": 1, "created": 0, "renamed": 1, "moved": 0, "attributes": 0, "unchanged": 0,
        "placementJobs": [],
        "values": {"changed": 0, "flagsAffected": 0, "flags": []},
        "changes": [{
            "line": 2, "change": "rename", "key": "rome", "name": "Roma", "formerName": "Rome", "parentKey": "south",
            "formerParentKey": None,
        }],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--delimiter", "xx"], "--delimiter: A delimiter is one character"),
        (["--encoding", "klingon"], "--encoding: Flagsite does not read this encoding. It reads: utf-8,"),
        (["--columns", "code"], "--columns: Write the columns as key=code,name=title."),
    ],
)
def test_an_option_without_a_valid_value_is_wrong_usage(db: None, file: Path, options: list[str], words: str) -> None:
    with pytest.raises(CommandError) as error:
        call_command("import_organizations", str(file), *options)
    assert error.value.returncode == 2
    assert str(error.value).startswith(words)


def report_of(path: Path) -> list[list[str]]:
    """The rows of a report."""
    return [*csv.reader(path.read_text(encoding="utf-8-sig").splitlines())]


def test_the_report_has_all_changes_and_a_spreadsheet_runs_none_of_them(cast: Cast, file: Path, tmp_path: Path) -> None:
    names: Any = ["=1+1", "+1", "-1", "@SUM(A1)", "plain"]
    rows = "".join(f'k{number},"{name}",acme\n' for number, name in enumerate(names))
    file.write_text(f"key,name,parent_key\n{rows}=k,K,acme\n")
    call_command("import_organizations", str(file), "--report", str(tmp_path / "report.csv"))
    header, *lines = report_of(tmp_path / "report.csv")
    assert header == ["line", "change", "key", "name", "former_name", "parent_key", "former_parent_key", "problem"]
    assert [line[3] for line in lines] == ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "plain", "K"]
    assert lines[-1] == ["7", "create", "'=k", "K", "", "acme", "", ""]


def test_the_report_has_all_problems_of_a_refused_file(db: None, file: Path, tmp_path: Path) -> None:
    file.write_text("key,name,parent_key\na,,\nb,B,c\n")
    with pytest.raises(CommandError):
        call_command("import_organizations", str(file), "--report", str(tmp_path / "report.csv"))
    assert [(line[0], line[-1]) for line in report_of(tmp_path / "report.csv")[1:]] == [
        ("2", "The name is empty."),
        ("3", "The parent 'c' does not exist, neither in the database nor in the file."),
    ]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("", "Nothing to change: the file has no organizations.\n"),
        ("a,A,\n", "Nothing to change: the only organization is as the file says.\n"),
    ],
)
def test_no_organization_and_a_single_one_have_words_of_their_own(
    db: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: str, words: str
) -> None:
    file = tmp_path / "few.csv"
    file.write_text(f"key,name,parent_key\n{rows}")
    for _ in range(2):
        capsys.readouterr()
        call_command("import_organizations", file)
    assert capsys.readouterr().out == words
