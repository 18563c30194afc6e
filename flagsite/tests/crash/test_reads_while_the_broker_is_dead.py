"""Two web processes evaluate flags while the Redis-protocol server is killed and comes back."""

from __future__ import annotations

import pytest

from flagsite.tests.crash.installation import Installation, eventually
from flagsite.tests.crash.web_processes import each_web_process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
LEAVES = 3
FLAG = "counted"
"""Of one test alone: what others have counted may come late."""
MOVE_USES = "from flags.insights.usage_store import store_buffered_usage; store_buffered_usage()"
USES = """
SELECT sum(evaluations) FROM flags_flaguse WHERE flag_id = (SELECT id FROM flags_flag WHERE key = %s)
   AND organization_id = %s
"""


def test_both_processes_answer_from_memory_and_database_and_hear_of_a_change(installation: Installation) -> None:
    installation.plant_tree(2, LEAVES)
    known = installation.branch(0, LEAVES) + 1
    unknown, changed = known + 1, known + 2
    for leaf in (known, unknown):
        assert installation.post(f"/{leaf}/checkout/true").status_code == 200
    with each_web_process(installation) as processes:
        assert processes.values("checkout", known) == [True, True]
        assert processes.values("checkout", changed) == [False, False]
        installation.valkey.kill()
        for _ in range(50):
            assert processes.values("checkout", known) == [True, True]
        assert processes.values("checkout", unknown) == [True, True]
        assert installation.post(f"/{changed}/checkout/true").status_code == 200
        assert installation.post(f"/{known}/checkout/false").status_code == 200
        eventually(lambda: processes.values("checkout", changed) == [True, True], within=1)
        eventually(lambda: processes.values("checkout", known) == [False, False], within=1)


def test_a_change_on_a_parent_is_carried_out_and_seen_by_both_once_it_is_back(installation: Installation) -> None:
    root = installation.plant_tree(2, LEAVES)
    leaf = installation.branch(1, LEAVES) + 1
    installation.start_worker()
    first = installation.set_flag(root, "checkout", False)
    eventually(lambda: installation.chain_ended(first), within=30)
    with each_web_process(installation) as processes:
        assert processes.values("checkout", leaf) == [False, False]
        installation.valkey.kill()
        meanwhile = installation.set_flag(root, "checkout", True)
        assert processes.values("checkout", leaf) == [False, False]
        installation.valkey.start()
        eventually(lambda: processes.values("checkout", leaf) == [True, True], within=40)
        eventually(lambda: installation.status(meanwhile) == "COMPLETED", within=5)
        installation.set_flag(root, "checkout", False)
        eventually(lambda: processes.values("checkout", leaf) == [False, False], within=15)


def test_what_is_evaluated_while_it_is_dead_is_counted_once_it_is_back(installation: Installation) -> None:
    installation.plant_tree(1, LEAVES)
    leaf = installation.branch(0, LEAVES) + 1
    assert installation.post(f"/{leaf}/{FLAG}/true").status_code == 200
    with each_web_process(installation) as processes:
        processes.evaluate(FLAG, leaf)
        eventually(lambda: _counted(installation, leaf) == 2, within=20)
        already = _said_that_they_keep_them(installation)
        installation.valkey.kill()
        for _ in range(20):
            assert processes.values(FLAG, leaf) == [True, True]
        eventually(lambda: _said_that_they_keep_them(installation) == already + 2, within=10)
        installation.valkey.start()
        eventually(lambda: _counted(installation, leaf) == 42, within=30)


def _said_that_they_keep_them(installation: Installation) -> int:
    """How often a web process has said that it could not hand its counts on."""
    return sum(log.read_text().count("flag_usage_kept") for log in installation.folder.glob("python-*.log"))


def _counted(installation: Installation, organization_id: int) -> int:
    installation.manage("shell", "--no-imports", "-c", MOVE_USES)
    return int(installation.sql(USES, [FLAG, organization_id])[0][0] or 0)
