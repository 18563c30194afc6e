"""Scheduled changes come at their time as long as a worker runs: without beat, and while the broker is dead."""

from __future__ import annotations

from typing import Any

import pytest

from flagsite.tests.crash.installation import Installation, eventually

pytestmark = pytest.mark.slow
LEAVES = 3
IN_A_SECOND = "SELECT to_char((now() + interval '1 second') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"


def test_what_is_due_is_applied_and_a_parents_job_waits_for_the_broker(installation: Installation) -> None:
    root = installation.plant_tree(2, LEAVES)
    region, leaf = installation.branch(0, LEAVES), installation.branch(1, LEAVES) + 1
    installation.start_worker()
    first = installation.set_flag(root, "checkout", False)
    eventually(lambda: installation.chain_ended(first), within=30)  # by which the worker is at work
    installation.valkey.kill()
    on_leaf, on_region = (_scheduled(installation, place) for place in (leaf, region))
    eventually(lambda: _status(installation, on_leaf) == _status(installation, on_region) == "applied", within=15)
    assert _value(installation, leaf) is True
    job_id = installation.get(f"/v1/schedules/{on_region}").json()["jobId"]
    assert installation.status(job_id) == "PENDING"
    installation.valkey.start()
    eventually(lambda: installation.status(job_id) == "COMPLETED", within=40)
    assert _value(installation, region + 1) is True


def _scheduled(installation: Installation, organization_id: int) -> int:
    answer = installation.post(
        "/v1/schedules",
        json={
            "featureFlagName": "checkout",
            "organizationId": organization_id,
            "apply": {"enabled": True},
            "scheduledAt": installation.sql(IN_A_SECOND)[0][0],
        },
    )
    assert answer.status_code == 201, answer.text
    return int(answer.json()["schedules"][0]["id"])


def _status(installation: Installation, schedule_id: int) -> str:
    return str(installation.get(f"/v1/schedules/{schedule_id}").json()["status"])


def _value(installation: Installation, organization_id: int) -> Any:
    return installation.get(f"/{organization_id}/checkout").json()["featureFlag"]["enabled"]
