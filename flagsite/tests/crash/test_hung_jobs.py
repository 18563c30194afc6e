"""Jobs that hang: the worker ends their process, the attempt fails in words, and a retry follows."""

from __future__ import annotations

import pytest

from flagsite.tests.crash.installation import Installation, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
KINDS = ("sleep-of-a-test", "spin-of-a-test")
ENQUEUE = "INSERT INTO jobs_job (kind, queue) VALUES (%s, 'default') RETURNING id"


def test_the_worker_ends_a_process_that_hangs_and_the_job_is_tried_again(installation: Installation) -> None:
    ids = [installation.sql(ENQUEUE, [kind])[0][0] for kind in KINDS]
    kinds = ("--include", "flagsite.tests.crash.hanging_kinds")
    worker = installation.run("celery", "-A", "flagsite", "--quiet", "worker", "--concurrency", "2", *kinds)
    eventually(lambda: all(installation.chain_ended(job_id) for job_id in ids), within=90)
    for job_id in ids:
        job = installation.job(job_id)
        assert (job["status"], job["attempt"]["status"], job["retryCount"]) == ("COMPLETED", "FAILED", 1)
    # the one that holds the interpreter lock may lose its lease before that
    assert "its process was ended" in str(installation.get(f"/job-retry-chain/{ids[0]}").json())
    log = installation.log_of(worker)
    eventually(lambda: log.read_text().count("hung_process_ended") == 2, within=30)
