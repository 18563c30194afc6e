"""Two tests that do not end by themselves, for test_interrupted_tests.py; the name keeps them from being found."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(os.environ.get("ENDLESS_FOLDER", "/nonexistent"))


@pytest.fixture(scope="session")
def torn_down() -> Iterator[None]:
    """Takes its time."""
    yield
    time.sleep(1)
    (HERE / f"torn-down-{os.getpid()}").touch()


@pytest.mark.parametrize("number", [1, 2])
def test_endless(number: int, torn_down: None) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    (HERE / f"started-{os.getpid()}-{child.pid}").touch()
    time.sleep(600)
