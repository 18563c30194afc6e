"""What the main process does when web processes end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from flagsite.tests.crash.installation import free_port
from flagsite.tests.web_server.served import APPLICATION, CHECKOUT, Served, body_of, eventually, running

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Two web processes."""
    with running(tmp_path_factory.mktemp("web"), workers=2) as one:
        eventually(lambda: len(one.web_processes()) == 2 and len(answering(one)) == 2)
        yield one


def answering(served: Served) -> set[int]:
    """The process ids of the web processes that answer now."""
    return {int(body_of(served.get("/now"))) for _ in range(40)}


def test_each_death_is_that_processes_own_and_no_request_is_lost(served: Served) -> None:
    failed: list[str] = []
    answered = threading.Event()
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                if b"200 OK" not in served.get("/now"):
                    failed.append("no answer")
            except ConnectionRefusedError:
                failed.append("refused")
            except OSError:
                pass  # it was the killed process's own connection
            answered.set()

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        healthy = min(served.web_processes())
        for _ in range(3):  # three deaths in a row, of whatever is in the other place
            (other,) = set(served.web_processes()) - {healthy}
            os.kill(other, signal.SIGKILL)
            eventually(lambda gone=other: _new_one(served, healthy, gone))
            answered.clear()
            assert answered.wait(30)
        eventually(lambda: answering(served) == set(served.web_processes()) and len(answering(served)) == 2)
    finally:
        over.set()
        asking.join()
    assert healthy in served.web_processes()
    assert set(failed) <= {"no answer"}  # of a connection that the killed process had accepted
    assert len(failed) <= 3
    ended = [
        line for line in map(json.loads, served.log.read_text().splitlines()) if line["event"] == "web_process_ended"
    ]
    pauses = [line["data"]["seconds"] for line in ended]
    assert pauses[0] == 0.0  # and of a process that lived for long, again
    assert pauses == sorted(pauses)


def _new_one(served: Served, healthy: int, gone: int) -> bool:
    others = set(served.web_processes()) - {healthy}
    return len(others) == 1 and gone not in others


def test_a_request_that_kills_its_process_leaves_the_other_to_the_next(served: Served) -> None:
    before = set(served.web_processes())
    assert served.get("/die") == b""
    assert body_of(served.get("/")) == b"done"
    eventually(lambda: len(served.web_processes()) == 2 and set(served.web_processes()) != before)


def test_a_hang_up_replaces_every_process_while_requests_are_answered(served: Served) -> None:
    eventually(lambda: len(answering(served)) == 2)
    before = set(served.web_processes())
    os.kill(served.process.pid, signal.SIGHUP)
    eventually(lambda: served.get("/now") and before.isdisjoint(served.web_processes()))
    assert served.process.poll() is None


def test_the_end_of_the_main_process_ends_all_of_them(tmp_path: Path) -> None:
    with running(tmp_path, workers=2) as served:
        processes = [psutil.Process(pid) for pid in served.web_processes()]
        served.process.kill()
        _, alive = psutil.wait_procs(processes, timeout=30)
        assert not alive


def test_a_request_that_has_begun_is_answered_before_the_server_stops(tmp_path: Path) -> None:
    with running(tmp_path) as served, served.connect() as connection:
        connection.sendall(b"GET /part-and-sleep?seconds=1 HTTP/1.0\r\n\r\n")
        assert connection.recv(10)
        served.process.terminate()
        received = b""
        while part := connection.recv(65536):
            received += part
        assert received.endswith(b"slept")
        assert served.process.wait(timeout=30) == 0


def test_a_second_server_at_the_same_port_says_so_and_ends(tmp_path: Path) -> None:
    with running(tmp_path) as served:
        command = [sys.executable, "-m", "flagsite.web_server", "--port", str(served.port), APPLICATION]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, timeout=60, check=False)
        assert done.returncode == 1
        assert b"another server listens there" in done.stderr
        assert body_of(served.get("/")) == b"done"


def test_a_server_that_cannot_start_says_why_and_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flagsite.web_server", "--port", str(free_port()), "--workers", "2", APPLICATION]
    environment = {**os.environ, "REFUSE_TO_START": "yes"}
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    assert b"refused to start" in done.stderr
