"""The worker that imports organizations dies in the middle: nothing is imported, and then the retry imports it all."""

from __future__ import annotations

import pytest

from flagsite.tests.crash.installation import Installation, eventually, kill_session

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
BRANCHES, LEAVES, NEW = 3, 20, 500
SIZE = 1 + BRANCHES * (1 + LEAVES)
ROWS = "".join(f"new-{number},New {number},{f'new-{number // 2}' if number else 'o0-0'}\n" for number in range(NEW))
FILE = f"key,name,parent_key\no0-0,Renamed,root\no1-1,Organization,o2-0\n{ROWS}"
TREE = "SELECT key, name, parent_id, tree_id, level, lft, rght, descendant_count FROM orgs_organization ORDER BY id"
MOVES = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%created.id%'"
"""Whether an import writes the moves, after the renamed and the new organizations."""
AUDITED = """
SELECT action, count(*) FROM orgs_historyentry WHERE correlation_id = %s AND action LIKE 'organization.%%'
 GROUP BY action ORDER BY action
"""


def test_an_import_whose_worker_is_killed_changes_nothing_and_its_retry_imports_everything(
    installation: Installation,
) -> None:
    root = installation.plant_tree(BRANCHES, LEAVES)
    doomed = installation.start_worker(concurrency=1)
    installation.set_flag(root, "checkout", True)
    eventually(installation.all_ended, within=60)
    before = installation.sql(TREE)
    installation.slow_down(2, table="orgs_organization")
    answer = installation.post("/v1/imports", files={"file": ("stores.csv", FILE.encode())})
    assert answer.status_code == 202, answer.text
    job_id = int(answer.json()["jobId"])
    eventually(lambda: installation.sql(MOVES), within=60)
    kill_session(doomed)
    assert installation.status(job_id) == "IN_PROGRESS"
    installation.speed_up()  # waits until PostgreSQL has noticed that the worker is gone
    assert installation.sql(TREE) == before
    assert installation.values("checkout") == {(True, root)}
    installation.start_worker(concurrency=1)
    eventually(lambda: installation.chain_ended(job_id), within=60)
    assert installation.chain_statuses(job_id) == ["FAILED", "COMPLETED"]
    eventually(installation.all_ended, within=60)
    _is_imported_once(installation, job_id, root)


def _is_imported_once(installation: Installation, job_id: int, root: int) -> None:
    found = installation.get(f"/v1/imports/{job_id}").json()
    counts = {name: found[name] for name in ("status", "created", "renamed", "moved", "unchanged", "problems")}
    assert counts == {
        "status": "COMPLETED", "created": NEW, "renamed": 1, "moved": 1, "unchanged": 0, "problems": 0,
    }  # fmt: skip
    rows = {key: (name, parent) for key, name, parent, *_ in installation.sql(TREE)}
    ids = dict(installation.sql("SELECT key, id FROM orgs_organization"))
    assert len(rows) == SIZE + NEW
    assert (rows["o0-0"], rows["o1-1"]) == (("Renamed", root), ("Organization", ids["o2-0"]))
    assert all(rows[f"new-{number}"][0] == f"New {number}" for number in range(NEW))
    assert rows[f"new-{NEW - 1}"][1] == ids[f"new-{(NEW - 1) // 2}"]
    installation.manage("check_tree")  # which fails where the tree is damaged
    assert installation.values("checkout") == {(True, root)}
    correlation_id = installation.job(job_id)["correlationId"]
    assert installation.sql(AUDITED, [correlation_id]) == [
        ("organization.create", NEW), ("organization.move", 1), ("organization.rename", 1),
    ]  # fmt: skip
    report = installation.get(f"/v1/imports/{job_id}/report.csv").text.splitlines()
    assert len(report) == 1 + NEW + 2
