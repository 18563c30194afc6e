"""What a command says when it refuses: one message in words, with the options as people write them."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest
from django.core.management import base as management
from django.core.management import execute_from_command_line

from conftest import Cast
from flags.definitions import service
from jobs.engine.models import Queue
from orgs.tests.commands import run

pytestmark = pytest.mark.django_db
HEADER = "key,name,parent_key\n"


def said(line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run the command as a process of its own would. Return its exit status and the last line of standard error."""
    arguments = ["manage.py", *shlex.split(line)]
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr(management.connections, "close_all", lambda: None)  # the test needs its connection
    with pytest.raises(SystemExit) as end:
        execute_from_command_line(arguments)
    return int(str(end.value.code)), capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("line", "ends_with"),
    [
        ("change_queue default", (2, "Nothing to change: give an option, such as --concurrency.")),
        ("archive_flag nothing", (1, "There is no flag 'nothing'.")),
        ("check_tree", (1, "The tree has problems. Run check_tree --repair.")),
    ],
)
def test_a_refusal_is_its_message_alone(
    cast: Cast,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    line: str,
    ends_with: tuple[int, str],
) -> None:
    monkeypatch.setattr("orgs.tree.integrity.TreeReport.sound", False)
    assert said(line, monkeypatch, capsys) == ends_with


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("key;name;parent_key\na;A;\n", "Set the option --delimiter to semicolon."),
        ("code,title,boss\na,A,\n", "name them with the option --columns, such as key=code"),
        (f"{HEADER}oslo,Oslo,rival\n", "the option --key-prefix keeps the keys of customers apart"),
        (f"{HEADER}oslo,Oslo,rival\n", "set the option --move-between-trees"),
    ],
)
def test_the_advice_of_an_import_names_the_options_of_the_command(
    cast: Cast, tmp_path: Path, content: str, words: str
) -> None:
    file = tmp_path / "tree.csv"
    file.write_text(content)
    ran = run("import_organizations", file)
    assert (ran.status, words in ran.error) == (1, True), ran.error
    assert words in run("import_organizations", file, "--json").document["error"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("create_periodic_task a --task jobs.clean_up --cron '61 * * * *'", "--cron, minute: The field minute has"),
        ("create_periodic_task a --task jobs.clean_up --cron '* * * * *' --time-zone Mars", "--time-zone: "),
        ("create_periodic_task a --task nothing --every 5 minutes", "--task: Workers know no task 'nothing'."),
        (
            "schedule_flag oslo checkout on --at 2030-01-01 --time-zone Europe/Oslo",
            "--time-zone is the zone of --cron.",
        ),
        ("define_flag new owner", "'owner' is not FIELD=VALUE. Write it as owner=checkout-team."),
        ("define_flag new owner=a owner=b", "The field owner is there twice. Write it once."),
        ("change_flag checkout name=x", "The name of a flag cannot be changed."),
        ("change_flag checkout reason=x", "Write it with --reason."),
        ("change_flag checkout kind=banana", '"banana" is not a valid choice. Write one of these: release,'),
        ("create_person eve --email nowhere", "Enter a valid email address."),
    ],
)
def test_a_refusal_names_what_to_write_instead(cast: Cast, line: str, words: str) -> None:
    service.create(key="checkout", values={}, by="user:olga")
    ran = run(*shlex.split(line))
    assert ran.status != 0
    assert words in ran.error


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("create_periodic_task a --task jobs.clean_up", "one of the arguments --every --cron is required"),
        ("change_queue default --backoff-jitter nan", "argument --backoff-jitter: 'nan' is not a number from 0 to 1."),
        ("change_queue default --backoff-base -1", "argument --backoff-base: "),
        ("change_queue default --max-retries 99", "'99' is not a whole number from 0 to 10."),
        ("set_flag oslo", "the following arguments are required: FLAG"),
        ("pause_queue", "the following arguments are required: QUEUE"),
    ],
)
def test_wrong_usage_names_the_argument(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, words: str
) -> None:
    before = Queue.objects.values().get(pk="default")
    status, message = said(line, monkeypatch, capsys)
    assert (status, words in message) == (2, True), message
    assert Queue.objects.values().get(pk="default") == before


def test_a_name_that_is_not_known_is_counted_on_standard_error(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said("invalidate_cache --flag nothing", monkeypatch, capsys) == (1, "0 done, 1 refused.")
