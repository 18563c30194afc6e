"""`run_worker` as a process: it follows the queues, brings a beat along that never outlives it, and needs no broker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import psutil
import pytest

from flagsite.tests.crash.installation import CHECKOUT, Installation, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
CLEANUP = "INSERT INTO jobs_job (kind, queue) VALUES ('cleanup', %s) RETURNING id"


def workers(installation: Installation) -> list[dict[str, Any]]:
    found = installation.get("/v1/workers").json()["results"]
    return [worker for worker in found if worker["state"] == "alive"]


def beats_of(pid: int) -> list[psutil.Process]:
    children = psutil.Process(pid).children()
    return [child for child in children if child.status() != psutil.STATUS_ZOMBIE and "beat" in child.cmdline()]


def burst(installation: Installation) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", "run_worker", "--burst", "--concurrency", "2"]
    return subprocess.run(
        command, check=False, cwd=CHECKOUT, env=installation.environment, capture_output=True, text=True, timeout=60
    )


def test_a_worker_serves_new_queues_and_its_beat_ends_with_it(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(installation.environment, "WORKER_TASK_EVENTS", "true")
    watcher = installation.run("celery", "-A", "flagsite", "events", "--dump")
    worker = installation.start_worker(1, "--with-scheduler")
    eventually(lambda: "report" in str(workers(installation)), within=60)
    (one,) = workers(installation)
    assert one["name"].startswith(f"w{installation.processes.index(worker)}@")
    assert one["queues"] == sorted(one["queues"]) != []

    installation.sql("INSERT INTO jobs_queue (name) VALUES ('made-later')")
    eventually(lambda: "made-later" in workers(installation)[0]["queues"], within=30)
    job_id = installation.sql(CLEANUP, ["made-later"])[0][0]
    eventually(lambda: installation.chain_ended(job_id), within=30)
    events = installation.log_of(watcher)  # what Flower shows too
    eventually(lambda: f"args=('made-later', job {job_id}, cleanup)" in events.read_text(), within=30)
    eventually(lambda: f"job {job_id}, cleanup'" in events.read_text().partition("task succeeded")[2], within=30)
    installation.sql("DELETE FROM jobs_queue WHERE name = 'made-later'")
    eventually(lambda: "made-later" not in workers(installation)[0]["queues"], within=30)

    (beat,) = beats_of(worker.pid)
    beat.kill()
    eventually(lambda: [other for other in beats_of(worker.pid) if other.pid != beat.pid], within=30)
    (beat,) = beats_of(worker.pid)
    eventually(lambda: installation.log_of(worker).read_text().count("beat_at_work") >= 1, within=30)
    os.kill(worker.pid, signal.SIGKILL)
    psutil.wait_procs([beat], timeout=30)
    assert not beat.is_running()


def test_a_worker_that_is_asked_to_stop_ends_its_beat_at_once(installation: Installation) -> None:
    worker = installation.start_worker(1, "--with-scheduler", "--queue", "report")
    eventually(lambda: beats_of(worker.pid), within=60)
    (beat,) = beats_of(worker.pid)
    eventually(lambda: [one["queues"] for one in workers(installation)] == [["report"]], within=60)
    worker.terminate()
    assert worker.wait(timeout=30) == 0
    assert not beat.is_running()


FAILING = "INSERT INTO jobs_job (kind, queue, max_retries, arguments) VALUES (%s, 'default', 0, %s)"


def test_a_burst_runs_jobs_while_the_broker_is_away(installation: Installation) -> None:
    installation.plant_tree(2, 3)
    installation.valkey.stop()
    job_id = installation.sql(CLEANUP, ["cleanup"])[0][0]
    done = burst(installation)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1 job ended, 0 chains FAILED.\n"
    assert "wake_up_not_sent" not in done.stderr
    assert installation.status(job_id) == "COMPLETED"
    installation.sql(FAILING, ["recalculation", '{"featureFlagName": "no-such-flag", "dryRun": true}'])
    done = burst(installation)
    assert done.returncode == 1
    assert done.stdout == "1 job ended, 1 chain FAILED.\n"
