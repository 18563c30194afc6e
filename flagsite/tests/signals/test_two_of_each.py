"""Two web processes and two workers: what is scraped adds up, and one id leads from the request to the job's end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from flagsite.tests.crash.installation import Installation, eventually
from flagsite.tests.signals.conftest import TOKEN, lines_of
from flagsite.tests.signals.scraping import Sample, samples_of, total

pytestmark = pytest.mark.slow
FLAG_ROUTE = "<top_organization:orgId>/<str:featureFlagName>/<str:enabled>"
JOBS, REQUESTS, LEAVES = 10, 60, 15


def scraped(installation: Installation) -> dict[Sample, float]:
    """What one of the web processes says, whichever takes the connection."""
    answer = httpx.get(
        f"http://127.0.0.1:{installation.port}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=20
    )
    assert answer.status_code == 200, answer.text
    return samples_of(answer.text)


@pytest.fixture
def at_work(observed: Installation) -> Installation:
    """Two workers with one slot each, and a tree."""
    observed.plant_tree(JOBS, LEAVES)
    observed.sql("TRUNCATE jobs_worker")  # those that earlier tests have killed count as alive for a while
    for _ in range(2):
        observed.start_worker(concurrency=1)
    eventually(lambda: total(scraped(observed), "flagsite_workers") == 2, within=60)
    return observed


def test_metrics_of_two_web_and_two_worker_processes_add_up(at_work: Installation) -> None:
    before = scraped(at_work)
    with ThreadPoolExecutor(8) as clients:
        list(clients.map(lambda _: at_work.get("/organizations?pageSize=1"), range(REQUESTS)))
    at_work.slow_down(0.02)
    ids = [at_work.set_flag(at_work.branch(number, LEAVES), "checkout", True) for number in range(JOBS)]
    written = [0.0]
    while not at_work.all_ended():
        now = scraped(at_work)
        written.append(total(now, "flagsite_organizations_written_total"))
        assert total(now, "flagsite_worker_slots_busy") <= total(now, "flagsite_worker_slots") == 2
    workers = {name for (name,) in at_work.sql("SELECT DISTINCT worker FROM jobs_job WHERE id = ANY(%s)", [ids])}
    assert len(workers) == 2, "both workers are to have worked"

    def grown(name: str, **labels: str) -> float:
        return total(after, name, **labels) - total(before, name, **labels)

    def counted() -> float:
        return total(scraped(at_work), "flagsite_http_request_seconds_count", route=FLAG_ROUTE, method="POST")

    wanted = total(before, "flagsite_http_request_seconds_count", route=FLAG_ROUTE, method="POST") + JOBS
    eventually(lambda: counted() == wanted, within=30)  # what a sibling answered is told by it within a second
    after = scraped(at_work)
    assert grown("flagsite_job_attempts_total", kind="propagation", outcome="completed") == JOBS
    assert grown("flagsite_jobs_total", queue="propagation") == JOBS
    assert grown("flagsite_organizations_written_total") == JOBS * (LEAVES + 1)
    assert grown("flagsite_job_processing_seconds_count") == JOBS
    assert written == sorted(written), "a counter went back"
    assert grown("flagsite_http_request_seconds_count", route="organizations", status="200") == REQUESTS
    assert grown("flagsite_http_request_seconds_count", route=FLAG_ROUTE, method="POST", status="202") == JOBS
    assert at_work.web is not None
    counted_by = list((at_work.folder / "metrics").glob(f"*-{at_work.web.pid}/histogram_*.db"))
    assert len(counted_by) == 2, "both web processes are to have answered"


def test_one_id_leads_from_the_request_to_the_end_of_its_job(at_work: Installation) -> None:
    headers = {"Authorization": f"Bearer {at_work.key}", "X-Request-ID": "follow-me"}
    address = f"http://127.0.0.1:{at_work.port}/1/checkout/true"
    job_id = httpx.post(address, headers=headers, timeout=20).json()["jobId"]
    eventually(lambda: at_work.chain_ended(job_id), within=60)

    def followed() -> dict[str, dict[str, object]]:
        lines = lines_of(at_work, "python")
        return {line["event"]: line for line in lines if line["correlationId"] == "follow-me"}

    eventually(lambda: "job_completed" in followed(), within=10)
    found = followed()
    assert {"request_answered", "job_created", "job_started", "job_completed"} <= set(found)
    for line in found.values():
        assert set(line) >= {"timestamp", "level", "event", "correlationId", "data"}
    answered, completed = found["request_answered"]["data"], found["job_completed"]["data"]
    assert (answered["route"], answered["status"]) == (FLAG_ROUTE, 202)
    assert answered["durationMs"] > 0
    assert (completed["jobId"], completed["queue"], completed["organizationId"]) == (job_id, "propagation", 1)
    assert completed["durationMs"] > 0
    everything = "".join(log.read_text() for log in at_work.folder.glob("*.log"))
    assert at_work.key not in everything
    assert TOKEN not in everything


def test_a_failure_tells_error_duration_and_what_follows(at_work: Installation) -> None:
    at_work.sql(
        """
        CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'broken on purpose'; END $$;
        CREATE OR REPLACE TRIGGER refuse BEFORE INSERT OR UPDATE ON flags_flagstate
            FOR EACH ROW EXECUTE FUNCTION refuse()
        """
    )
    try:
        job_id = at_work.set_flag(at_work.branch(0, LEAVES), "checkout", True)
        eventually(lambda: len(at_work.chain_statuses(job_id)) == 2, within=60)
    finally:
        at_work.sql("DROP TRIGGER refuse ON flags_flagstate")

    def events() -> dict[str, dict[str, object]]:
        return {line["event"]: line["data"] for line in lines_of(at_work, "python") if "data" in line}

    eventually(lambda: "job_retry_scheduled" in events(), within=10)
    failed = events()["job_failed"]
    assert (failed["jobId"], failed["willRetry"], failed["queue"]) == (job_id, True, "propagation")
    assert "broken on purpose" in str(failed["error"])
    assert events()["job_retry_scheduled"]["rootJobId"] == job_id
