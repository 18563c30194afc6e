"""docs/commands.md has every command of ours, with the options that it has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.management import BaseCommand, get_commands, load_command_class

from flagsite.core.console.command import OperatorCommand

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "commands.md").read_text()
ROWS = {
    cells[0].split()[0]: cells
    for cells in (re.findall(r"(?<=\| )`((?:[^`])+)`", line) for line in PAGE.splitlines() if line.startswith("| `"))
    if cells
}
OF_DJANGO = {"migrate"}
"""Commands of Django that do a little more with us; Django describes them."""
APPS = {"orgs", "jobs", "flags", "flagsite"}
OURS = sorted(name for name, app in get_commands().items() if app in APPS and name not in OF_DJANGO)
OF_ALL = {
    option for action in BaseCommand().create_parser("manage.py", "x")._actions for option in action.option_strings
}


def test_every_command_has_a_row_and_every_row_a_command() -> None:
    assert sorted(ROWS) == OURS


@pytest.mark.parametrize("name", OURS)
def test_a_row_has_the_options_that_the_command_has_and_an_example_that_it_takes(name: str) -> None:
    command = load_command_class(get_commands()[name], name)
    parser = command.create_parser("manage.py", name)
    options = {option for action in parser._actions for option in action.option_strings} - OF_ALL - {"--json"}
    usage, example = ROWS[name][0], ROWS[name][-1]
    assert set(re.findall(r"--[a-z-]+", usage)) == options
    words = re.findall(r'"[^"]*"|\S+', example)
    assert words[0].startswith("bin/")
    if words[0] == "bin/manage":
        assert words[1] == name
        parser.parse_args([word.strip('"') for word in words[2:]])


@pytest.mark.parametrize("name", OURS)
def test_commands_about_the_service_answer_in_json(name: str) -> None:
    command = load_command_class(get_commands()[name], name)
    options = command.create_parser("manage.py", name).format_help()
    assert "--json" in options or name in {"demo", "run_worker", "serve"}
    assert isinstance(command, OperatorCommand) or name in {"demo", "run_worker", "serve", "check_tree"}
