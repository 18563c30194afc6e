"""Data with all tables made, of which tests begin with a copy: to make the tables takes seconds each time."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from flagsite.development.servers.locations import ROOT

VARIABLE = "FLAGSITE_TEST_PREPARED"
"""Names the folder of the prepared data to the tests of this run."""
COPIED = ("postgres", "secret_key")
KEY = "access-key.json"
"""What `create_key --json` has answered: an administrator's key in the prepared database."""


def prepare(place: Path) -> Path:
    """Have prepared data in `place`, which nobody else uses now: made again when the code is another.

    Returns their folder. The server of `place` itself begins with the same, but for the key.
    """
    folder, state = place / "prepared", _state_of_the_code()
    stamp = folder / "state"
    if not stamp.exists() or stamp.read_text() != state:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True)
        _manage(folder, "migrate", "--verbosity", "0")
        copy(folder, place)
        (folder / KEY).write_bytes(_manage(folder, "create_key", "tests", "--role", "admin", "--json"))
        stamp.write_text(state)
    return folder


def copy(prepared: Path, folder: Path) -> None:
    """Put a copy of the prepared data, on which no server may run, in the place of a data folder's."""
    shutil.rmtree(folder / "postgres", ignore_errors=True)
    for name in COPIED:
        if (prepared / name).is_dir():
            shutil.copytree(prepared / name, folder / name)
        else:
            shutil.copy2(prepared / name, folder / name)


def _manage(folder: Path, *arguments: str) -> bytes:
    environment = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
    environment["FLAGSITE_DATA_DIR"] = str(folder)
    command = [sys.executable, str(ROOT / "manage.py"), *arguments]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout


def _state_of_the_code() -> str:
    """A hash of all that could make the prepared data other than they are."""
    digest = hashlib.sha256((ROOT / "requirements.txt").read_bytes())
    for app in ("orgs", "jobs", "flags", "flagsite"):
        for file in sorted((ROOT / app).rglob("*.py")):
            if "tests" not in file.parts:
                digest.update(file.read_bytes())
    return digest.hexdigest()
