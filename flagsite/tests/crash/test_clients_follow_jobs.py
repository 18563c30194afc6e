"""What clients in JavaScript say at the end: the reference's, letter by letter, and the one of docs/jobs.md."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flagsite.tests.crash.installation import CHECKOUT, Installation, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
CLIENTS = Path(__file__).parent / "clients"
LEAF = 3
"""An organization without children in the tree that the fixture plants."""
REFUSE_ROWS = """
CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'No luck.' USING ERRCODE = 'check_violation'; END $$;
CREATE OR REPLACE TRIGGER refuse BEFORE INSERT OR UPDATE ON flags_flagstate FOR EACH ROW EXECUTE FUNCTION refuse()
"""
TAKE_ROWS = "DROP TRIGGER IF EXISTS refuse ON flags_flagstate"


@pytest.fixture
def root(installation: Installation) -> Iterator[int]:
    """A root with two branches of two leaves, a worker, and retries that wait a second."""
    if shutil.which("node") is None and not os.environ.get("FLAGSITE_REQUIRE_BROWSER"):
        pytest.skip("no node on this machine")
    root = installation.plant_tree(2, 2)
    installation.sql("UPDATE jobs_queue SET backoff_base = 1")
    installation.start_worker(concurrency=1)
    yield root
    installation.sql(TAKE_ROWS)
    installation.sql("UPDATE jobs_queue SET backoff_base = 2, max_retries = 3, paused_at = NULL")


@contextmanager
def clients(installation: Installation, *scripts: str) -> Iterator[list[subprocess.Popen[str]]]:
    """Node processes that run the clients' code at the same time, with the key added."""
    address = f"http://127.0.0.1:{installation.port}"
    environment = os.environ | {"FLAGSITE_URL": address, "FLAGSITE_KEY": installation.key}
    prelude = (CLIENTS / "prelude.mjs").read_text()
    processes = [
        subprocess.Popen(
            ["node", "--input-type=module", "--eval", prelude + script],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for script in scripts
    ]  # fmt: skip
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def reference(organization_id: int) -> str:
    """The reference's client, which sets a flag on this organization."""
    return (
        (CLIENTS / "reference.mjs").read_text().replace("'/1/feature-x/true'", f"'/{organization_id}/feature-x/true'")
    )


def documented(organization_id: int) -> str:
    """The client of docs/jobs.md, which sets a flag on this organization."""
    page = (CHECKOUT / "docs" / "jobs.md").read_text()
    short, code = re.findall(r"```javascript\n(.*?)```", page, re.DOTALL)
    return (
        f"const KEY = process.env.FLAGSITE_KEY;\n{short}\n{code}\nawait setFlag({organization_id}, 'feature-x', true);"
    )


def words_of(processes: list[subprocess.Popen[str]]) -> list[list[str]]:
    """The lines that each client has said, when it has ended by itself."""
    said = []
    for process in processes:
        text, _ = process.communicate(timeout=60)
        assert process.returncode == 0, text
        said.append(text.splitlines())
    return said


def jobs_of(installation: Installation, count: int) -> list[int]:
    """The ids of the clients' jobs, when each client has one."""
    first = "SELECT id FROM jobs_job WHERE parent_job_id IS NULL AND kind = 'propagation' ORDER BY id"
    eventually(lambda: len(installation.sql(first)) == count, within=20)
    return [job_id for (job_id,) in installation.sql(first)]


def test_a_leaf_is_updated_at_once(installation: Installation, root: int) -> None:
    with clients(installation, reference(LEAF), documented(LEAF)) as processes:
        for said in words_of(processes):
            assert said[0].startswith("Feature flag updated:")
            assert "job" not in " ".join(said)


def test_the_job_of_a_parent_completes(installation: Installation, root: int) -> None:
    with clients(installation, reference(root), documented(root)) as processes:
        of_reference, of_documented = words_of(processes)
    assert of_reference[0].startswith("Background job started:")
    assert (of_reference[-1], of_documented[-1]) == ("Job completed successfully!", "Job completed: 7 organizations")


def test_a_job_that_a_retry_heals_completes(installation: Installation, root: int) -> None:
    installation.sql(REFUSE_ROWS)
    with clients(installation, reference(root), documented(root)) as processes:
        jobs = jobs_of(installation, 2)
        eventually(lambda: [installation.status(job) for job in jobs] == ["RETRYING"] * 2, within=20)
        installation.sql(TAKE_ROWS)
        of_reference, of_documented = words_of(processes)
    assert (of_reference[-1], of_documented[-1]) == ("Job completed successfully!", "Job completed: 7 organizations")
    assert "Job failed:" not in " ".join(of_reference)
    assert installation.values("feature-x") == {(True, root)}
    job, chain = installation.job(jobs[0]), installation.get(f"/job-retry-chain/{jobs[0]}").json()
    assert (job["status"], job["processedOrganizations"], job["failedOrganizations"]) == ("COMPLETED", 7, 0)
    assert (job["attempt"]["status"], job["attempt"]["failedOrganizations"]) == ("FAILED", 7)
    assert (chain[0]["status"], chain[-1]["status"]) == ("FAILED", "COMPLETED")
    assert installation.get(f"/jobs/{root}?status=FAILED").json()["results"] == []


def test_a_job_that_fails_for_good_says_so(installation: Installation, root: int) -> None:
    installation.sql("UPDATE jobs_queue SET max_retries = 1")
    installation.sql(REFUSE_ROWS)
    with clients(installation, reference(root), documented(root)) as processes:
        of_reference, of_documented = words_of(processes)
    why = "All 7 organizations failed; the first (id 1): No luck."
    assert of_reference[-2:] == [f"Job failed: {why}", "Job permanently failed after 1 retries"]
    assert of_documented[-2] == f"Job FAILED: {why}"
    assert of_documented[-1].startswith("A person can retry it: POST /retry-job/")


WITHOUT_FLAG = '{"featureFlagName": "no-such-flag", "dryRun": true}'


def test_a_failure_without_retries_announces_none(installation: Installation, root: int) -> None:
    installation.sql("UPDATE jobs_queue SET paused_at = now()")
    with clients(installation, reference(root), documented(root)) as processes:
        jobs_of(installation, 2)
        installation.sql("UPDATE jobs_job SET kind = 'recalculation', arguments = %s", [WITHOUT_FLAG])
        installation.sql("UPDATE jobs_queue SET paused_at = NULL")
        of_reference, of_documented = words_of(processes)
    why = "There is no flag 'no-such-flag'."
    assert of_reference[-2:] == [f"Job failed: {why}", "Job permanently failed after 0 retries"]
    assert of_documented[-2] == f"Job FAILED: {why}"
    assert "tries again" not in " ".join(of_documented)


def test_a_cancelled_job_ends_the_documented_client(installation: Installation, root: int) -> None:
    installation.sql("UPDATE jobs_queue SET paused_at = now()")
    with clients(installation, documented(root)) as processes:
        (job,) = jobs_of(installation, 1)
        assert installation.post(f"/cancel-job/{job}").status_code == 200
        (said,) = words_of(processes)
    assert said[-1] == "Job cancelled after 0 organizations"
