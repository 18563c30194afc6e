"""Which scheduling policy the threads of a web process have."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from flagsite.tests.openfeature.served import Served
from flagsite.web import thread_policy

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be told")


def policies(process: int) -> dict[str, list[int]]:
    """The policies of the process's threads, by the threads' names, the oldest first."""
    found: dict[str, list[int]] = {}
    for thread in sorted(Path(f"/proc/{process}/task").iterdir(), key=lambda thread: int(thread.name)):
        found.setdefault((thread / "comm").read_text().strip(), []).append(os.sched_getscheduler(int(thread.name)))
    return found


def in_a_new_thread(work: Callable[[], None]) -> None:
    """Raises what `work` raises."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    for error in errors:
        raise error


def policies_of_a_server_and_its_answering_thread() -> list[int]:
    """The answering thread's before and after each of two requests; then the server's own."""
    seen: list[int] = []

    def answer() -> None:
        seen.append(os.sched_getscheduler(0))
        for _ in range(2):
            thread_policy.run_as_answering_thread()
            seen.append(os.sched_getscheduler(0))

    def serve() -> None:
        thread_policy.yield_to_other_threads()
        in_a_new_thread(answer)
        seen.append(os.sched_getscheduler(0))

    in_a_new_thread(serve)
    return seen


@pytest.mark.slow
def test_the_servers_own_thread_takes_the_processor_from_none_that_answers(flagsite: Served) -> None:
    assert flagsite.web is not None
    assert flagsite.bulk().status_code == flagsite.get("/organizations").status_code == 200
    (web,) = psutil.Process(flagsite.web.pid).children()
    found = policies(web.pid)
    assert found["tokio-rt-worker"][0] == os.SCHED_BATCH  # others of this name answer; it has started them
    assert os.SCHED_OTHER in found["granian"]


def test_a_thread_has_its_starters_policy_until_it_answers() -> None:
    seen = policies_of_a_server_and_its_answering_thread()
    assert seen == [os.SCHED_BATCH, os.SCHED_OTHER, os.SCHED_OTHER, os.SCHED_BATCH]


def test_without_web_tuning_every_thread_keeps_its_policy(settings: Any) -> None:
    settings.WEB_TUNING = False
    assert policies_of_a_server_and_its_answering_thread() == [os.SCHED_OTHER] * 4


def test_where_it_is_forbidden_requests_are_answered_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def forbidden(*_: object) -> None:
        asked.append(True)
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", forbidden)
    thread_policy.yield_to_other_threads()
    in_a_new_thread(thread_policy.run_as_answering_thread)
    assert len(asked) == 2
