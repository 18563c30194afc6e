"""Opposite changes on overlapping subtrees, two workers, failures, retries and kills, all at once."""

from __future__ import annotations

import os
import random
import signal
import threading

import pytest

from flagsite.tests.crash.installation import Installation, eventually, kill_session

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]
LEAVES = 30

WRONG_ROWS = """
SELECT organization.id, state.enabled, state.source_id, last.number, last.enabled, last.organization_id
  FROM orgs_organization organization
  CROSS JOIN LATERAL (
    SELECT change.number, change.enabled, change.organization_id FROM flags_change change
      JOIN orgs_organization source ON source.id = change.organization_id
     WHERE organization.lft BETWEEN source.lft AND source.rght ORDER BY change.number DESC LIMIT 1) last
  LEFT JOIN flags_flagstate state ON state.organization_id = organization.id
 WHERE state.organization_id IS NULL OR state.enabled <> last.enabled OR state.source_id <> last.organization_id
    OR state.change_number <> last.number
"""
"""Organizations whose row is not what the last accepted change above them says."""

FAIL_AT_RANDOM = """
CREATE OR REPLACE FUNCTION fail_at_random() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF random() < 0.02 THEN RAISE EXCEPTION 'bad luck'; END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER fail_at_random AFTER UPDATE OF total ON jobs_job
    FOR EACH ROW WHEN (NEW.status = 'IN_PROGRESS') EXECUTE FUNCTION fail_at_random()
"""


def test_rows_end_as_if_the_requests_had_run_one_by_one(installation: Installation) -> None:
    root = installation.plant_tree(8, LEAVES)
    installation.slow_down(0.005)
    installation.sql(FAIL_AT_RANDOM)  # progress fails now and then, so that chunks and attempts do
    doomed = installation.start_worker()
    installation.start_worker()

    def ask(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(12):
            place = chance.choice([root, installation.branch(chance.randrange(8), LEAVES)])
            accepted.append(installation.set_flag(place, "checkout", chance.choice([True, False])))

    accepted: list[int] = []
    clients = [threading.Thread(target=ask, args=[seed]) for seed in range(4)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    kill_session(doomed)
    installation.start_worker()
    assert len(accepted) == 48
    eventually(installation.all_ended, within=240)
    installation.sql("DROP TRIGGER fail_at_random ON jobs_job")
    for (job_id,) in installation.sql("SELECT id FROM jobs_job WHERE parent_job_id IS NULL"):
        if installation.job(job_id)["chain"]["status"] == "FAILED" or installation.job(job_id)["failedOrganizations"]:
            installation.post(f"/retry-job/{job_id}")
    installation.speed_up()
    eventually(installation.all_ended, within=120)
    assert installation.sql(WRONG_ROWS) == []


def test_organizations_created_and_moved_during_a_job_end_with_the_right_values(installation: Installation) -> None:
    root = installation.plant_tree(10, LEAVES)
    outside = installation.post("/organizations", json={"name": "Outside", "key": "outside"}).json()["id"]
    stray = installation.post("/organizations", json={"name": "S", "key": "s", "parentId": outside}).json()["id"]
    installation.slow_down(0.05)
    worker = installation.start_worker()
    job_id = installation.set_flag(root, "checkout", True)
    installation.wait_until_written(job_id, 20)
    os.kill(worker.pid, signal.SIGTERM)  # so that the job stands in its middle, however long the requests take
    worker.wait(timeout=20)
    early, late = installation.branch(0, LEAVES), installation.branch(9, LEAVES)
    created = [
        installation.post("/organizations", json={"name": "N", "key": f"n{place}", "parentId": place}).json()["id"]
        for place in (early, late)
    ]
    _move(installation, stray, late)  # comes in, below one that may not have been reached yet
    gone = installation.branch(8, LEAVES)
    _move(installation, gone, outside)  # goes out, before it was reached
    assert installation.status(job_id) == "PENDING"
    assert 20 <= installation.processed(job_id) < gone
    installation.speed_up()
    installation.start_worker()
    eventually(installation.all_ended, within=60)
    for organization_id in [*created, stray]:
        answer = installation.get(f"/{organization_id}/checkout").json()
        assert (answer["featureFlag"]["enabled"], answer["sourceOrganizationId"]) == (True, root), organization_id
    for organization_id in [outside, gone, gone + 1]:
        answer = installation.get(f"/{organization_id}/checkout").json()
        assert (answer["featureFlag"]["enabled"], answer["sourceOrganizationId"]) == (False, None), organization_id
    assert "the tree has no problems" in installation.manage("check_tree").lower()


def _move(installation: Installation, organization_id: int, parent_id: int) -> None:
    answer = installation.patch(f"/organizations/{organization_id}", json={"parentId": parent_id})
    assert answer.status_code == 200, answer.text
