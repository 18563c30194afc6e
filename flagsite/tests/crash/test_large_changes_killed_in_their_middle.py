"""The worker that deletes or moves a large subtree dies in the middle. After the rescue, tree and rows are right."""

from __future__ import annotations

import pytest

from flagsite.tests.crash.installation import Installation, eventually, kill_session

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
BRANCHES, LEAVES = 3, 600
IN_BRANCH = LEAVES + 1
TREE = "SELECT key, parent_id, tree_id, level, lft, rght, descendant_count FROM orgs_organization ORDER BY id"
IN_MIDDLE_OF_MOVE = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%orgs_organization%'"
WITHOUT_ORGANIZATION = """
SELECT count(*) FROM (
    SELECT organization_id FROM flags_flagstate UNION ALL SELECT organization_id FROM flags_flagsetting) one
 WHERE NOT EXISTS (SELECT FROM orgs_organization WHERE id = organization_id)
"""
AUDITED = """
SELECT details->'organizations', details->>'status' FROM orgs_historyentry
 WHERE action = 'organization.delete' AND organization_id = %s
"""
VALUES = """
SELECT DISTINCT COALESCE(parent_id = %(top)s, FALSE) OR organization.id = %(top)s, enabled, source_id
  FROM orgs_organization organization
  LEFT JOIN flags_flagstate state ON state.organization_id = organization.id
 ORDER BY 1, 2
"""
"""The flag states below an organization and everywhere else; the only flag is set."""


def _first_branch(installation: Installation) -> list[int]:
    """The ids of the first branch that exist."""
    top = installation.branch(0, LEAVES)
    return [id_ for (id_,) in installation.sql(
        "SELECT id FROM orgs_organization WHERE id BETWEEN %s AND %s", [top, top + LEAVES]
    )]  # fmt: skip


def test_a_deletion_goes_on_where_the_killed_worker_has_stopped(installation: Installation) -> None:
    root = installation.plant_tree(BRANCHES, LEAVES)
    top = installation.branch(0, LEAVES)
    doomed = installation.start_worker(concurrency=1)
    installation.set_flag(root, "checkout", True)
    eventually(installation.all_ended, within=60)
    installation.slow_down(0.4, table="orgs_organization")
    answer = installation.delete(f"/organizations/{top}?subtree=true")
    assert answer.status_code == 202, answer.text
    job_id = int(answer.json()["jobId"])
    installation.wait_until_written(job_id, 1)
    kill_session(doomed)
    installation.speed_up()  # waits until PostgreSQL has noticed that the worker is gone
    assert 0 < len(_first_branch(installation)) == IN_BRANCH - installation.processed(job_id)
    assert installation.sql(WITHOUT_ORGANIZATION) == [(0,)]
    assert installation.values("checkout") == {(True, root)}
    installation.start_worker(concurrency=1)
    eventually(lambda: installation.chain_ended(job_id), within=60)
    assert installation.chain_statuses(job_id) == ["FAILED", "COMPLETED"]
    assert _first_branch(installation) == []
    assert installation.sql("SELECT count(*) FROM orgs_organization") == [(1 + (BRANCHES - 1) * IN_BRANCH,)]
    assert installation.sql(WITHOUT_ORGANIZATION) == [(0,)]
    assert installation.values("checkout") == {(True, root)}
    assert installation.sql(AUDITED, [top]) == [(IN_BRANCH, "COMPLETED")]
    installation.manage("check_tree")  # which fails if the tree is damaged


def test_a_move_whose_worker_is_killed_has_moved_nothing_and_its_retry_moves_everything(
    installation: Installation,
) -> None:
    root = installation.plant_tree(BRANCHES, LEAVES)
    top, parent = installation.branch(0, LEAVES), installation.branch(1, LEAVES)
    doomed = installation.start_worker(concurrency=1)
    installation.set_flag(root, "checkout", True)
    installation.set_flag(parent, "checkout", False)
    eventually(installation.all_ended, within=60)
    before = installation.sql(TREE)
    installation.slow_down(1, table="orgs_organization")
    answer = installation.patch(f"/organizations/{top}", json={"parentId": parent})
    assert answer.status_code == 202, answer.text
    job_id = int(answer.json()["jobId"])
    eventually(lambda: installation.sql(IN_MIDDLE_OF_MOVE), within=60)
    kill_session(doomed)
    installation.speed_up()
    assert installation.status(job_id) == "IN_PROGRESS"
    assert installation.sql(TREE) == before
    assert installation.sql(VALUES, {"top": top}) == [(False, False, parent), (False, True, root), (True, True, root)]
    installation.start_worker(concurrency=1)
    eventually(lambda: installation.chain_ended(job_id), within=60)
    assert installation.chain_statuses(job_id) == ["FAILED", "COMPLETED"]
    eventually(installation.all_ended, within=60)
    assert installation.sql("SELECT parent_id, descendant_count FROM orgs_organization WHERE id = %s", [top]) == [
        (parent, LEAVES)
    ]
    assert installation.sql("SELECT descendant_count FROM orgs_organization WHERE id = %s", [parent]) == [
        (LEAVES + IN_BRANCH,)
    ]
    assert installation.sql(VALUES, {"top": top}) == [
        (False, False, parent), (False, True, root), (True, False, parent),
    ]  # fmt: skip
    installation.manage("check_tree")
