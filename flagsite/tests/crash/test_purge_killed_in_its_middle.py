"""The worker that deletes a flag with its states dies in the middle, while the flag is asked for all the time."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from flags.definitions.purge import CHUNK_SIZE
from flagsite.tests.crash.installation import Installation, eventually, kill_session
from flagsite.tests.crash.web_processes import WebProcesses, each_web_process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
BRANCHES, LEAVES = 4, CHUNK_SIZE
SIZE = 1 + BRANCHES * (1 + LEAVES)
ARCHIVED, UNKNOWN = "archived", "FLAG_NOT_FOUND"
ROWS_OF = "SELECT count(*) FROM flags_flagstate WHERE flag_id = %s"
CHANGES_OF = "SELECT count(*) FROM flags_change WHERE flag_id = %s"


def test_it_comes_to_the_end_after_a_rescue_and_the_flag_is_off_all_the_while(installation: Installation) -> None:
    root = installation.plant_tree(BRANCHES, LEAVES)
    leaf = installation.branch(1, LEAVES) + 1
    doomed = installation.start_worker(concurrency=1)
    for flag in ("doomed", "other"):
        installation.set_flag(root, flag, True)
    eventually(installation.all_ended, within=60)
    doomed_id, other_id = (_id_of(installation, flag) for flag in ("doomed", "other"))
    installation.slow_down(0.5)
    with each_web_process(installation) as processes:
        assert processes.values("doomed", leaf) == [True, True]
        assert installation.delete("/v1/feature-flags/doomed").status_code == 200
        purge = installation.delete("/v1/feature-flags/doomed?purge=true")
        assert purge.status_code == 202
        job_id = purge.json()["jobId"]
        eventually(lambda: _said(processes, leaf) == [ARCHIVED, ARCHIVED], within=1)
        installation.wait_until_written(job_id, CHUNK_SIZE)
        kill_session(doomed)
        assert 0 < _count(installation, ROWS_OF, doomed_id) < SIZE
        for organization_id in (root, leaf):
            refused = installation.post(f"/{organization_id}/doomed/true")
            assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (409, "flag-purging")
        installation.start_worker(concurrency=1)
        said = []

        def has_ended() -> bool:
            said.append(_said(processes, leaf))
            return installation.chain_ended(job_id)

        eventually(has_ended, within=60)
        assert installation.chain_statuses(job_id) == ["FAILED", "COMPLETED"]
        eventually(lambda: _said(processes, leaf) == [UNKNOWN, UNKNOWN], within=1)
        for one in zip(*said, strict=True):
            _was_off_then_gone(one)
    assert [_count(installation, rows, doomed_id) for rows in (ROWS_OF, CHANGES_OF)] == [0, 0]
    assert [_count(installation, rows, other_id) for rows in (ROWS_OF, CHANGES_OF)] == [SIZE, 1]
    assert installation.post(f"/{leaf}/doomed/true").status_code == 200  # another flag, of the same name
    assert _count(installation, ROWS_OF, _id_of(installation, "doomed")) == 1


def _said(processes: WebProcesses, organization_id: int) -> list[str]:
    """What each process says: on, or why it is not: the rule that decided, or the error."""
    answers = [answer.json() for answer in processes.evaluate("doomed", organization_id)]
    return ["on" if one.get("value") else one.get("errorCode") or one["metadata"]["rule"] for one in answers]


def _was_off_then_gone(said: Sequence[str]) -> None:
    gone = [word == UNKNOWN for word in said]
    assert set(said) <= {ARCHIVED, UNKNOWN}
    assert gone == sorted(gone), "it came back"


def _id_of(installation: Installation, flag: str) -> int:
    return int(installation.sql("SELECT id FROM flags_flag WHERE key = %s", [flag])[0][0])


def _count(installation: Installation, statement: str, flag_id: int) -> int:
    return int(installation.sql(statement, [flag_id])[0][0])
