"""Which threads of a web process get the processor first."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import psutil
import pytest

from flagsite.tests.openfeature.served import Served
from flagsite.web import thread_policy

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be told")


def policies(process: int) -> dict[str, list[int]]:
    """How the threads of a process get the processor, by their names, the oldest first."""
    found: dict[str, list[int]] = {}
    for thread in sorted(Path(f"/proc/{process}/task").iterdir(), key=lambda thread: int(thread.name)):
        found.setdefault((thread / "comm").read_text().strip(), []).append(os.sched_getscheduler(int(thread.name)))
    return found


@pytest.mark.slow
def test_the_servers_own_thread_takes_the_processor_from_none_that_answers(flagsite: Served) -> None:
    assert flagsite.web is not None
    assert flagsite.bulk().status_code == flagsite.get("/organizations").status_code == 200
    (web,) = psutil.Process(flagsite.web.pid).children()
    found = policies(web.pid)
    assert found["tokio-rt-worker"][0] == os.SCHED_BATCH  # others of this name answer; it has started them
    assert os.SCHED_OTHER in found["granian"]


def test_what_a_patient_thread_starts_is_patient_until_it_answers() -> None:
    seen: list[int] = []

    def answer() -> None:
        seen.append(os.sched_getscheduler(0))
        for _ in range(2):
            thread_policy.run_as_answering_thread()
            seen.append(os.sched_getscheduler(0))

    def serve() -> None:
        thread_policy.yield_to_other_threads()
        answering = threading.Thread(target=answer)
        answering.start()
        answering.join()
        seen.append(os.sched_getscheduler(0))

    server = threading.Thread(target=serve)
    server.start()
    server.join()
    assert seen == [os.SCHED_BATCH, os.SCHED_OTHER, os.SCHED_OTHER, os.SCHED_BATCH]


def test_where_it_is_forbidden_requests_are_answered_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", forbidden)
    monkeypatch.setattr(thread_policy, "_thread", thread_policy._Thread())
    thread_policy.yield_to_other_threads()
    thread_policy.run_as_answering_thread()
