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

from flagsite.servers import ServerError, data_folder, running


@contextmanager
def place_of_its_own(parent: Path) -> Iterator[Path]:
    """The first of the folders 1, 2, … below `parent` that no other run is in; kept, as that makes the next quicker."""
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in count(1):
        with (parent / f"{number}.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield parent / str(number)
            return


def main(arguments: list[str]) -> int:
    """Run the tests; the result is pytest's exit status."""
    with place_of_its_own(data_folder() / "tests") as folder:
        os.environ["FLAGSITE_DATA_DIR"] = str(folder)
        # Test data is worth nothing after the run, so the tests need not wait for the disk.
        os.environ["FLAGSITE_TEST_UNSAFE_FSYNC"] = "1"
        try:
            with running():
                return pytest.main(arguments)
        except ServerError as error:
            sys.exit(f"Flagsite: {error}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
