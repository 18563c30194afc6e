"""What manage.py does with what goes wrong, whatever the command."""

from __future__ import annotations

import subprocess
import sys

import pytest
from django.core import management
from django.db import OperationalError, ProgrammingError

import manage
from flagsite.development import servers
from flagsite.development.servers import ROOT

LOADING = """
import os, runpy, signal, sys
class CtrlC:
    def find_spec(self, name, *_):
        if name == MODULE:
            os.kill(os.getpid(), signal.SIGINT)
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, CtrlC())
sys.argv = ["manage.py", "help"]
runpy.run_path("manage.py", run_name="__main__")
"""


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No servers, and a command that fails with what the test says."""
    monkeypatch.setattr(servers, "running", pytest.MonkeyPatch.context)
    return monkeypatch


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            OperationalError("connection refused\nand more"),
            "Flagsite: The database does not answer: connection refused",
        ),
        (ProgrammingError("no such relation"), "Flagsite: The tables do not fit this version (no such"),
    ],
)
def test_a_database_that_is_away_or_has_no_tables_is_told_in_a_line(
    fails: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    def fail(arguments: list[str]) -> None:
        raise error

    fails.setattr(management, "execute_from_command_line", fail)
    fails.setattr(sys, "argv", ["manage.py", "check_tree"])
    with pytest.raises(SystemExit) as ended:
        manage.main()
    assert str(ended.value).startswith(words)
    fails.setattr(sys, "argv", ["manage.py", "check_tree", "--traceback"])
    with pytest.raises(type(error)):
        manage.main()


@pytest.mark.parametrize("module", ["django.core.management", "flagsite.development.servers", "flagsite.settings"])
def test_ctrl_c_while_it_is_loading_ends_it_without_a_word(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADING.replace("MODULE", repr(module))], cwd=ROOT, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (130, "")
