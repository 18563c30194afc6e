"""A batch whose workers are killed, and whose broker restarts, while its members run."""

from __future__ import annotations

import pytest

from flagsite.tests.crash.installation import Installation, eventually, kill_session

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
BRANCHES, LEAVES = 8, 20
KILLS = 3


def test_every_member_is_carried_out_and_the_callback_comes_once(installation: Installation) -> None:
    root = installation.plant_tree(BRANCHES, LEAVES)
    worker = installation.start_worker()
    before = installation.set_flag(root, "checkout", True)
    eventually(lambda: installation.chain_ended(before), within=60)
    installation.sql("DELETE FROM flags_flagstate WHERE organization_id % 3 = 0")
    installation.slow_down(0.7)
    batch_id = _batch_of_all_branches(installation)

    for number in range(KILLS):
        eventually(lambda: _members(installation, "ended_as = 'COMPLETED'") > number, within=60)  # noqa: B023
        at_work = _newest_at_work(installation)
        eventually(lambda: _newest_at_work(installation) > at_work, within=60)  # noqa: B023 - one that has just begun
        kill_session(worker)
        if number == 0:
            installation.valkey.stop()
            installation.valkey.start()
        worker = installation.start_worker()
    flip = installation.set_flag(root, "checkout", False)
    installation.speed_up()

    eventually(lambda: _batch(installation, batch_id)["final"], within=120)
    eventually(installation.all_ended, within=60)
    batch = _batch(installation, batch_id)
    assert (batch["outcome"], batch["generation"]) == ("SUCCEEDED", 1)
    members = installation.get(f"/v1/queue/batches/{batch_id}/members").json()["results"]
    assert [member["outcome"] for member in members] == ["SUCCEEDED"] * BRANCHES
    assert _members(installation, "ended_as = 'FAILED'") >= 1, "a kill hit a member at its work"
    assert installation.sql("SELECT status FROM jobs_job WHERE kind = 'cleanup' AND requested_by <> ''") == [
        ("COMPLETED",)
    ]
    assert installation.job(flip)["status"] == "COMPLETED"
    assert installation.values("checkout") == {(False, root)}


def _batch_of_all_branches(installation: Installation) -> int:
    members = [
        {"kind": "recalculation", "organizationId": installation.branch(number, LEAVES)} for number in range(BRANCHES)
    ]
    body = {"name": "chaos", "members": members, "onFinish": {"kind": "cleanup"}}
    answer = installation.post("/v1/queue/batches", json=body)
    assert answer.status_code == 202, answer.text
    return int(answer.json()["batchId"])


def _batch(installation: Installation, batch_id: int) -> dict[str, object]:
    return dict(installation.get(f"/v1/queue/batches/{batch_id}").json())


def _newest_at_work(installation: Installation) -> int:
    """Return the id of the newest attempt of a member that a worker carries out now, 0 if there is none."""
    rows = installation.sql("SELECT max(id) FROM jobs_job WHERE kind = 'recalculation' AND status = 'IN_PROGRESS'")
    return int(rows[0][0] or 0)


def _members(installation: Installation, condition: str) -> int:
    rows = installation.sql(f"SELECT count(*) FROM jobs_job WHERE kind = 'recalculation' AND {condition}")
    return int(rows[0][0])
