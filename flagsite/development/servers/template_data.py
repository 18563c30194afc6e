"""A template of a data folder, with all tables, that tests start from as a copy: making the tables takes seconds."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from flagsite.development.servers.data_folder_layout import ROOT

VARIABLE = "FLAGSITE_TEST_PREPARED"
"""The environment variable by which a run of bin/test tells its tests where the template is."""
COPIED = ("postgres", "secret_key")
ACCESS_KEY_FILE = "access-key.json"
"""The answer of `create_key --json`: an access key with role admin that is in the template's database."""


def make_template(test_folder: Path) -> Path:
    """Make the template below `test_folder`, which no other run uses now, unless the one there fits the code.

    Returns the template's folder. The data of `test_folder` itself begins as a copy of it, without the access key.
    """
    folder, state = test_folder / "prepared", _state_of_the_code()
    stamp = folder / "state"
    if not stamp.exists() or stamp.read_text() != state:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True)
        _manage(folder, "migrate", "--verbosity", "0")
        copy_template(folder, test_folder)
        (folder / ACCESS_KEY_FILE).write_bytes(_manage(folder, "create_key", "tests", "--role", "admin", "--json"))
        stamp.write_text(state)
    return folder


def copy_template(template: Path, folder: Path) -> None:
    """Replace the database and the secret key of a data folder by the template's. No server may run on either."""
    shutil.rmtree(folder / "postgres", ignore_errors=True)
    for name in COPIED:
        if (template / name).is_dir():
            shutil.copytree(template / name, folder / name)
        else:
            shutil.copy2(template / name, folder / name)


def _manage(folder: Path, *arguments: str) -> bytes:
    environment = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
    environment["FLAGSITE_DATA_DIR"] = str(folder)
    command = [sys.executable, str(ROOT / "manage.py"), *arguments]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout


def _state_of_the_code() -> str:
    """A hash of everything that the template depends on: our code and the pinned requirements."""
    digest = hashlib.sha256((ROOT / "requirements-local.txt").read_bytes())
    for app in ("orgs", "jobs", "flags", "flagsite"):
        for file in sorted((ROOT / app).rglob("*.py")):
            if "tests" not in file.parts:
                digest.update(file.read_bytes())
    return digest.hexdigest()
