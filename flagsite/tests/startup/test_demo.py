"""The demo, run as a newcomer runs it: from nothing, beside another, killed, and again."""

from __future__ import annotations

import json
import re
import signal
import stat
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil
import pytest

from flagsite.tests.examples import requests
from flagsite.tests.startup.conftest import empty_folder
from flagsite.tests.startup.running import bare_environment, begin_with_tables, nothing_runs, run, started

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
ADDRESS = r"http://127\.0\.0\.1:([0-9]+)"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A data folder for all of these: the first demo makes everything, the others find it as people do every day."""
    yield from empty_folder()


@pytest.fixture(scope="module")
def environment(folder: Path) -> dict[str, str]:
    """Of a newcomer."""
    return bare_environment(folder)


@pytest.fixture(scope="module")
def first(environment: dict[str, str], folder: Path) -> Iterator[list[str]]:
    """What two demos say that begin at once: one from nothing, and another with other data."""
    for other_folder in empty_folder():
        begin_with_tables(other_folder)
        with (
            started(environment, "demo", "--once") as ours,
            started(bare_environment(other_folder), "demo", "--once") as theirs,
        ):
            said = [one.communicate(timeout=150)[0] for one in (ours, theirs)]
            assert (ours.returncode, theirs.returncode) == (0, 0), "\n".join(said)
        assert nothing_runs(folder)
        assert nothing_runs(other_folder)
        yield said


def test_two_demos_that_begin_at_once_both_reach_all_each_at_a_port_of_its_own(first: list[str]) -> None:
    for said in first:
        summary = _last_line(said)
        assert list(summary) == [
            "jobId", "status", "totalOrganizations", "processedOrganizations", "failedOrganizations", "seconds",
        ]  # fmt: skip
        assert (summary["status"], summary["failedOrganizations"]) == ("COMPLETED", 0)
        assert summary["totalOrganizations"] == summary["processedOrganizations"] > 5000
        assert 0 < summary["seconds"] < 60
    ours, theirs = ({*re.findall(ADDRESS, said)} for said in first)
    assert len(ours) == len(theirs) == 1
    assert ours != theirs


def test_secrets_are_for_their_owner_only(first: list[str], folder: Path) -> None:
    secrets = [folder / "demo-key", folder / "admin-password"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}


def test_a_demo_serves_with_the_key_it_shows_and_after_a_kill_of_everything_the_next_does_so_until_ctrl_c(
    first: list[str], environment: dict[str, str], folder: Path
) -> None:
    secrets = _secrets(folder)
    with started(environment, "demo") as demo:
        second = _read_until_json(demo)
        line = next(line for line in second if line.strip().startswith("curl") and "/job-status/" in line)
        assert _last_line(subprocess.run(line, shell=True, capture_output=True, text=True, check=True).stdout)["chain"]
        assert _unlike_the_document("".join(second), (folder / "demo-key").read_text().strip()) == []
        login = next(line.split() for line in second if "/admin/" in line)[0]
        assert urllib.request.urlopen(login, timeout=60).status == 200
        refused = run(environment, "demo", "--once")
        assert refused.returncode != 0
        assert "runs already" in refused.stderr
        for process in [*psutil.Process(demo.pid).children(recursive=True), psutil.Process(demo.pid)]:
            process.kill()
        demo.wait()
    with started(environment, "demo") as demo:
        third = _read_until_json(demo)
        demo.send_signal(signal.SIGINT)
        assert demo.wait(timeout=60) == 0
    assert nothing_runs(folder)
    shown = [first[0], "".join(second), "".join(third)]
    assert [_last_line(one)["status"] for one in shown] == ["COMPLETED"] * 3
    assert len({_last_line(one)["processedOrganizations"] for one in shown}) == 1
    switched = [re.findall(r"Switch new-checkout (on|off)", one) for one in shown]
    assert switched == [["on"], ["off"], ["on"]]
    assert _secrets(folder) == secrets


def _unlike_the_document(shown: str, key: str) -> list[str]:
    """Read each example of a GET in the OpenAPI document, and return the paths that lead to nothing."""
    address = re.findall(f"({ADDRESS})", shown)[0][0]
    headers = {"Authorization": f"Bearer {key}"}
    paths = [f"{each.path}?{urlencode(each.query)}" for each in requests() if each.method == "GET"]
    return [path for path in paths if _status(urllib.request.Request(address + path, headers=headers)) != 200]


def _status(request: urllib.request.Request) -> int:
    try:
        return int(urllib.request.urlopen(request, timeout=60).status)
    except urllib.error.HTTPError as error:
        return error.code


def _secrets(folder: Path) -> list[str]:
    return [(folder / name).read_text() for name in ("demo-key", "admin-password")]


def _read_until_json(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    lines: Iterator[str] = iter(process.stdout.readline, "")
    shown = []
    for line in lines:
        shown.append(line)
        if line.startswith("{"):
            return shown
    raise AssertionError("".join(shown))


def _last_line(text: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(text.strip().splitlines()[-1])
    return answer
