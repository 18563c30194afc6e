"""What bin/test runs: pytest, on embedded servers and data that nothing else uses at that time."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from flagsite.development.servers import ServerError, data_folder, prepared, running
from flagsite.development.servers.interrupting import interruptible
from flagsite.development.servers.locks import open_lock


@contextmanager
def place_of_its_own(parent: Path) -> Iterator[Path]:
    """The first of the folders 1, 2, … below `parent` that no other run is in; kept, as that makes the next quicker."""
    for number in count(1):
        with open_lock(parent, f"{number}.lock") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield parent / str(number)
            return


def in_parallel(arguments: list[str]) -> list[str]:
    """What has pytest use the cores, when all tests run or those of a marker.

    For the slow ones two more than there are cores, since they wait for processes; four at most, since each has a
    database. What stays together, and in which order it comes, is said in conftest.py.
    """
    cores = os.cpu_count() or 1
    processes = cores if "not slow" in arguments else cores + 2
    chosen = [argument for argument in arguments if argument not in {"-m", "not slow", "slow", "-q", "-v"}]
    if any(not argument.startswith("--durations") for argument in chosen):
        return []  # a person looks at some of them
    return ["-n", str(min(4, processes)), "--dist", "loadscope", "--no-loadscope-reorder"]


def main(arguments: list[str]) -> int:
    """Run the tests, until their end or a signal; the result is pytest's exit status."""
    try:
        with interruptible(), place_of_its_own(data_folder() / "tests") as folder:
            os.environ["FLAGSITE_DATA_DIR"] = str(folder)
            # Test data is worth nothing after the run, so the tests need not wait for the disk.
            os.environ["FLAGSITE_TEST_UNSAFE_FSYNC"] = "1"
            os.environ[prepared.VARIABLE] = str(prepared.prepare(folder))
            with running():
                return pytest.main([*in_parallel(arguments), *arguments])
    except ServerError as error:
        sys.exit(f"Flagsite: {error}")
    except KeyboardInterrupt:
        return pytest.ExitCode.INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
