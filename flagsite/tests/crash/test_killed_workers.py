"""Workers that die, stop or freeze in the middle of a job."""

from __future__ import annotations

import os
import signal

import pytest

from flagsite.tests.crash.installation import Installation, eventually, kill_session

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_a_job_whose_worker_is_killed_twice_ends_right(installation: Installation) -> None:
    root = installation.plant_tree(10, 50)
    installation.slow_down(0.05)
    worker = installation.start_worker()
    job_id = installation.set_flag(root, "checkout", True)
    latest = job_id
    for _ in range(2):
        installation.wait_until_written(latest, 50)
        kill_session(worker)
        worker = installation.start_worker()
        before = latest
        eventually(lambda: _latest(installation, job_id) != before, within=60)  # noqa: B023
        latest = _latest(installation, job_id)
    installation.speed_up()
    eventually(lambda: installation.chain_ended(job_id), within=60)
    assert installation.chain_statuses(job_id) == ["FAILED", "FAILED", "COMPLETED"]
    assert installation.values("checkout") == {(True, root)}
    chain = installation.get(f"/job-retry-chain/{job_id}").json()
    assert "did not renew the lease in time" in str(chain)
    job = installation.job(job_id)
    assert (job["status"], job["chain"]["status"], job["final"]) == ("COMPLETED", "COMPLETED", True)
    assert (job["processedOrganizations"], job["attempt"]["status"]) == (511, "FAILED")


def test_another_worker_that_is_there_already_goes_on_with_a_dead_ones_job(installation: Installation) -> None:
    root = installation.plant_tree(10, 50)
    installation.slow_down(0.05)
    doomed = installation.start_worker(concurrency=1)
    job_id = installation.set_flag(root, "checkout", True)
    installation.wait_until_written(job_id, 50)
    installation.start_worker(concurrency=1)
    kill_session(doomed)
    eventually(lambda: len(installation.chain_statuses(job_id)) == 2, within=60)  # how soon: bin/bench recovery
    installation.speed_up()
    eventually(lambda: installation.chain_ended(job_id), within=60)
    assert installation.values("checkout") == {(True, root)}


def test_a_worker_that_is_asked_to_stop_hands_its_job_back_and_burns_no_attempt(installation: Installation) -> None:
    root = installation.plant_tree(10, 50)
    installation.slow_down(0.05)
    worker = installation.start_worker()
    job_id = installation.set_flag(root, "checkout", True)
    installation.wait_until_written(job_id, 50)
    os.kill(worker.pid, signal.SIGTERM)
    worker.wait(timeout=20)
    assert installation.status(job_id) == "PENDING"
    written = installation.processed(job_id)
    installation.speed_up()
    installation.start_worker()
    eventually(lambda: installation.chain_ended(job_id), within=60)
    assert installation.chain_statuses(job_id) == ["COMPLETED"]
    assert 50 <= written < 511
    assert installation.processed(job_id) == 511
    assert installation.values("checkout") == {(True, root)}


def test_what_a_frozen_worker_writes_after_its_lease_is_refused(installation: Installation) -> None:
    root = installation.plant_tree(10, 50)
    installation.slow_down(0.05)
    frozen = installation.start_worker(concurrency=1)
    job_id = installation.set_flag(root, "checkout", True)
    installation.wait_until_written(job_id, 50)
    kill_session(frozen, signal.SIGSTOP)
    installation.start_worker(concurrency=1)
    eventually(lambda: len(installation.chain_statuses(job_id)) == 2, within=60)
    written = installation.processed(job_id)
    kill_session(frozen, signal.SIGCONT)
    log = installation.log_of(frozen)
    eventually(lambda: "job_lease_lost" in log.read_text(), within=60)
    installation.speed_up()
    eventually(lambda: installation.chain_ended(job_id), within=60)
    assert installation.chain_statuses(job_id) == ["FAILED", "COMPLETED"]
    assert installation.values("checkout") == {(True, root)}
    assert installation.processed(job_id) == written
    first, retry = installation.get(f"/job-retry-chain/{job_id}").json()
    assert "lease" in first["errorMessage"]
    assert retry["parentJobId"] == first["id"]


def _latest(installation: Installation, job_id: int) -> int:
    rows = installation.sql("SELECT max(id) FROM jobs_job WHERE id = %s OR parent_job_id = %s", [job_id, job_id])
    return int(rows[0][0])
