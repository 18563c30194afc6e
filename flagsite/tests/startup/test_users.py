"""PostgreSQL refuses root. It runs all the same, wherever the data folder lies, and no permission changes for it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from flagsite.development.servers import ROOT, PostgresServer, as_other_user
from flagsite.tests.startup.conftest import environment_for

pytestmark = pytest.mark.slow
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="about the user root")
USE_POSTGRES = """
import os
from flagsite.development.servers import PostgresServer, data_folder
server = PostgresServer(data_folder())
server.start()
print(server.is_ready(), server.data.stat().st_uid)
server.stop()
"""
WITHOUT_SETUID = """
import ctypes, runpy, sys
for capability in (6, 7):  # CAP_SETGID, CAP_SETUID: taken out of the bounding set, so gone after exec
    assert ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) == 0
import os
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
"""


@only_root
def test_roots_database_lies_in_a_folder_that_only_root_may_enter(folder: Path) -> None:
    before = _modes_above(folder)
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    PostgresServer(folder).start()
    assert psutil.Process(PostgresServer(folder).pid() or 0).uids().effective != 0
    assert _modes_above(folder) == before


@only_root
def test_a_root_that_can_become_nobody_else_uses_a_user_namespace(folder: Path) -> None:
    assert _run([sys.executable, "-c", WITHOUT_SETUID, USE_POSTGRES], folder) == "True 0"


@only_root
def test_files_change_hands_when_the_way_changes(folder: Path) -> None:
    nobody = as_other_user.other_user().pw_uid
    for command, owner in (
        ([sys.executable, "-c", USE_POSTGRES], nobody),
        ([sys.executable, "-c", WITHOUT_SETUID, USE_POSTGRES], 0),
        ([sys.executable, "-c", USE_POSTGRES], nobody),
    ):
        assert _run(command, folder) == f"True {owner}"


@only_root
def test_an_ordinary_user_needs_none_of_it(folder: Path) -> None:
    user = as_other_user.other_user()
    folder.parent.chmod(0o711)
    folder.mkdir(mode=0o700)
    os.chown(folder, user.pw_uid, user.pw_gid)
    if not _may_read_checkout(user.pw_uid):
        pytest.skip("the checkout lies where ordinary users may not go")
    assert _run([sys.executable, "-c", USE_POSTGRES], folder, user=user.pw_uid) == f"True {user.pw_uid}"


def _run(command: list[str], folder: Path, user: int | None = None) -> str:
    done = subprocess.run(
        command, env=environment_for(folder), cwd=ROOT, user=user, group=user, extra_groups=[] if user else None,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _may_read_checkout(user: int) -> bool:
    try:
        subprocess.run([sys.executable, "-c", "import flagsite.development.servers"], user=user, cwd=ROOT, check=True)
    except (PermissionError, subprocess.CalledProcessError):
        return False
    return True


def _modes_above(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mode for path in (*folder.parents, *Path(sys.executable).resolve().parents)}
