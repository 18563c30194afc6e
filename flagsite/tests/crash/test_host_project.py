"""A host project made of the code of docs/tasks.md, whose tasks a real worker runs, also if one is killed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flagsite.tests.crash.installation import CHECKOUT, Installation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
BLOCKS = re.findall(r"```python\n# (.+)\n((?:[^`].*\n|\n)+)```", (CHECKOUT / "docs" / "tasks.md").read_text())
KILLED = """
import os, signal
from pathlib import Path
from django_tasks import task


@task
def killed_once(marker: str) -> str:
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done by another one"
"""
ENQUEUE = """
from django.conf import settings; import django; django.setup()
{example}
from shop.more_tasks import renew_prices
from shop.killed import killed_once
print(receipt.id, tomorrow.id, count.id, renew_prices.enqueue(0, 3).id, killed_once.enqueue({marker!r}).id)
"""
READ = """
import django, json, sys; django.setup()
from django_tasks import default_task_backend
results = [default_task_backend.get_result(one) for one in sys.argv[1:]]
print(json.dumps([
    [one.status, one.return_value if one.status == "SUCCESSFUL" else None, one.attempts, len(one.errors)]
    for one in results
]))
"""


@pytest.fixture
def host(installation: Installation, tmp_path: Path) -> dict[str, str]:
    """The files of the host project, and the environment of its processes."""
    for name, code in (*BLOCKS, ("shop/__init__.py", ""), ("shop/killed.py", KILLED)):
        path = tmp_path / name
        if path.suffix == ".py":
            path.parent.mkdir(exist_ok=True)
            path.write_text(code)
    return installation.environment | {
        "DJANGO_SETTINGS_MODULE": "shop_settings",
        "PYTHONPATH": f"{CHECKOUT}{os.pathsep}{tmp_path}",
    }


def python(host: dict[str, str], *arguments: str, status: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], env=host, cwd=CHECKOUT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == status, done.stderr
    return done.stdout


def test_the_page_has_the_files_of_a_host_project() -> None:
    names = ["shop_settings.py", "shop/tasks.py", "anywhere in your project", "shop/more_tasks.py"]
    assert [name for name, _ in BLOCKS] == names


def test_a_worker_runs_the_tasks_of_a_host_project(host: dict[str, str], tmp_path: Path) -> None:
    example = dict(BLOCKS)["anywhere in your project"]
    program = ENQUEUE.format(example=example, marker=str(tmp_path / "marker"))
    status, ids = python(host, "-c", program).splitlines()[-2:]
    assert status == "READY True"

    python(host, "manage.py", "check")
    python(host, "manage.py", "run_worker", "--burst", "--concurrency", "2")
    results: list[list[Any]] = json.loads(python(host, "-c", READ, *ids.split()))
    assert results == [
        ["SUCCESSFUL", {"order": 17, "copy": True}, 1, 0],
        ["READY", None, 0, 0],
        ["SUCCESSFUL", 10, 1, 0],
        ["SUCCESSFUL", 1, 1, 0],
        ["SUCCESSFUL", "done by another one", 2, 1],
    ]
