"""What bin/test runs: pytest, on embedded servers and a data folder that nothing else uses at that time."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from flagsite.development.servers import ServerError, data_folder, running, template_data
from flagsite.development.servers.interruption import interruptible
from flagsite.development.servers.locks import open_lock_file


@contextmanager
def exclusive_test_folder(parent: Path) -> Iterator[Path]:
    """The first of the folders 1, 2, … below `parent` that no other run uses. It stays for the next run."""
    for number in count(1):
        with open_lock_file(parent, f"{number}.lock") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield parent / str(number)
            return


def parallel_options(arguments: list[str]) -> list[str]:
    """pytest's options that use all cores, when all tests run or those of a marker.

    Slow tests get two processes more than there are cores, because they wait for processes; four at most, because each
    process has a database. conftest.py says which tests stay together, and in which order they come.
    """
    cores = os.cpu_count() or 1
    processes = cores if "not slow" in arguments else cores + 2
    chosen = [argument for argument in arguments if argument not in {"-m", "not slow", "slow", "-q", "-v"}]
    if any(not argument.startswith("--durations") for argument in chosen):
        return []  # somebody works on a few tests
    return ["-n", str(min(4, processes)), "--dist", "loadscope", "--no-loadscope-reorder"]


def main(arguments: list[str]) -> int:
    """Run the tests, until their end or a signal; the result is pytest's exit status."""
    try:
        with interruptible(), exclusive_test_folder(data_folder() / "tests") as folder:
            os.environ["FLAGSITE_DATA_DIR"] = str(folder)
            # Test data is worth nothing after the run, so the tests need not wait for the disk.
            os.environ["FLAGSITE_TEST_UNSAFE_FSYNC"] = "1"
            os.environ[template_data.VARIABLE] = str(template_data.make_template(folder))
            with running():
                return pytest.main([*parallel_options(arguments), *arguments])
    except ServerError as error:
        sys.exit(f"Flagsite: {error}")
    except KeyboardInterrupt:
        return pytest.ExitCode.INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
