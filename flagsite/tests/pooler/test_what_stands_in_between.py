"""Between Flagsite and PostgreSQL may stand PgBouncer in transaction mode, or a firewall that swallows connections.

The whole product works behind PgBouncer, and says what it lacks without DATABASE_DIRECT_URL.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from flags.tests.serving.swallowing_proxy import SwallowingProxy
from flagsite.beat import BEAT_LOCK
from flagsite.development.servers.server_commands import web_command
from flagsite.tests.crash.installation import eventually, free_port, kill_session
from flagsite.tests.pooler.pgbouncer import PooledInstallation

pytestmark = pytest.mark.slow
ROOT, LEAF, LEAVES = 1, 3, 2

BEAT_IS_RUNNING = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid = {BEAT_LOCK}"
WITH_A_CURSOR = """
from django.core.management import call_command
from orgs.tree.models import Organization
call_command("migrate", verbosity=0)
print([one.key for one in Organization.objects.filter(key__startswith="pooled").iterator(chunk_size=1)])
"""


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PooledInstallation]:
    made = PooledInstallation(tmp_path_factory.mktemp("pooled"))
    try:
        made.start()
        made.plant_tree(branches=2, leaves=LEAVES)
        yield made
    finally:
        made.stop()


def checks(installation: PooledInstallation) -> dict[str, tuple[str, str, str]]:
    """State, finding and advice of each check of doctor."""
    try:
        printed = installation.manage("doctor", "--json")
    except subprocess.CalledProcessError as error:
        printed = error.stdout.decode()
    return {one["name"]: (one["state"], one["finding"], one["advice"]) for one in json.loads(printed)["checks"]}


def value(installation: PooledInstallation, flag: str, port: int | None = None) -> Any:
    """The flag's value for a leaf, from the evaluation cache."""
    with contextlib.suppress(httpx.ConnectError):
        answer = httpx.post(
            f"http://127.0.0.1:{port or installation.port}/ofrep/v1/evaluate/flags/{flag}",
            json={"context": {"organizationId": LEAF}},
            headers={"Authorization": f"Bearer {installation.key}"},
            timeout=20,
        )
        return answer.json().get("value")
    return None


def test_jobs_that_take_all_places_of_the_pool_for_longer_than_a_lease_keep_their_leases(
    installation: PooledInstallation,
) -> None:
    installation.slow_down(4)  # longer than the lease, in each of the two places
    try:
        jobs = [
            installation.set_flag(installation.branch(number, LEAVES), "pooled", enabled=True) for number in range(2)
        ]
        eventually(lambda: all(installation.chain_ended(job) for job in jobs), within=60)
    finally:
        installation.speed_up()
    assert [installation.chain_statuses(job) for job in jobs] == [["COMPLETED"], ["COMPLETED"]]


def test_changes_are_heard_and_doctor_is_content(installation: PooledInstallation) -> None:
    job = installation.set_flag(ROOT, "heard", enabled=True)
    eventually(lambda: installation.chain_ended(job), within=30)
    assert value(installation, "heard") is True
    installation.post(f"/{LEAF}/heard/false")
    eventually(lambda: value(installation, "heard") is False, within=10)
    assert installation.get("/readyz").json()["checks"]["listener"] == "ok"
    eventually(lambda: installation.sql(BEAT_IS_RUNNING) == [(1,)], within=30)
    found = checks(installation)
    assert "answers through a connection pooler after" in found["database"][1]
    assert {name: state for name, (state, _, _) in found.items() if state == "problem"} == {}


def test_migrations_import_and_cursors_of_many_rows_work(installation: PooledInstallation, tmp_path: Path) -> None:
    file = tmp_path / "tree.csv"
    file.write_text("key,name,parent_key\npooled,Pooled,\npooled-1,One,pooled\npooled-2,Two,pooled\n")
    installation.manage("import_organizations", str(file))
    printed = installation.manage("shell", "-v", "0", "-c", WITH_A_CURSOR)
    assert all(f"'{key}'" in printed for key in ("pooled", "pooled-1", "pooled-2"))


def test_a_purge_and_a_repeated_request_work(installation: PooledInstallation) -> None:
    key = {"Idempotency-Key": "pooled-once"}
    first, second = (_post(installation, f"/{ROOT}/purged/true", key) for _ in range(2))
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    eventually(lambda: installation.chain_ended(int(first.json()["jobId"])), within=30)
    installation.delete("/v1/feature-flags/purged")
    purge = installation.delete("/v1/feature-flags/purged?purge=true")
    assert purge.status_code == 202, purge.text
    eventually(lambda: installation.chain_ended(int(purge.json()["jobId"])), within=30)
    assert installation.sql("SELECT count(*) FROM flags_flag WHERE key = 'purged'") == [(0,)]


def _post(installation: PooledInstallation, path: str, headers: dict[str, str]) -> httpx.Response:
    key = {"Authorization": f"Bearer {installation.key}"}
    return httpx.post(f"http://127.0.0.1:{installation.port}{path}", headers=key | headers, timeout=20)


def test_without_a_direct_url_changes_are_read_instead_and_everybody_says_so(
    installation: PooledInstallation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(installation.environment, "DATABASE_DIRECT_URL")
    port = free_port()
    installation.run(*web_command(port, workers=1))
    job = installation.set_flag(ROOT, "unheard", enabled=True)
    eventually(lambda: installation.chain_ended(job), within=30)
    eventually(lambda: value(installation, "unheard", port) is True, within=30)
    installation.post(f"/{LEAF}/unheard/false")
    eventually(lambda: value(installation, "unheard", port) is False, within=10)
    words = "DATABASE_URL leads to a connection pooler in transaction mode, so no change notifications arrive."
    eventually(lambda: words in _readiness(installation, port)["details"]["listener"], within=10)
    told = _readiness(installation, port)
    assert (told["status"], told["checks"]["listener"]) == ("ready", "not ok")
    state, finding, advice = checks(installation)["listener"]
    assert (state, finding.startswith(words)) == ("problem", True)
    assert advice.startswith("Set DATABASE_DIRECT_URL to the address of PostgreSQL itself")


def test_behind_a_firewall_that_swallows_all_connections_the_new_value_is_answered_and_heard_again(
    installation: PooledInstallation, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    with SwallowingProxy(f"{installation.postgres.sockets}/.s.PGSQL.5432") as firewall:
        monkeypatch.delitem(installation.environment, "DATABASE_DIRECT_URL")
        monkeypatch.setitem(
            installation.environment, "DATABASE_URL", f"postgresql://flagsite@127.0.0.1:{firewall.port}/flagsite"
        )
        web = installation.run(*web_command(port, workers=1))
        job = installation.set_flag(ROOT, "swallowed", enabled=True)
        eventually(lambda: installation.chain_ended(job), within=30)
        eventually(lambda: _listener(installation, port) == "ok", within=30)
        eventually(lambda: value(installation, "swallowed", port) is True, within=10)
        firewall.swallow()
        installation.post(f"/{LEAF}/swallowed/false")
        eventually(lambda: value(installation, "swallowed", port) is False, within=10)
        eventually(lambda: _listener(installation, port) == "ok", within=20)
        installation.post(f"/{LEAF}/swallowed/true")
        eventually(lambda: value(installation, "swallowed", port) is True, within=10)
        key = {"Authorization": f"Bearer {installation.key}"}
        metrics = httpx.get(f"http://127.0.0.1:{port}/metrics", headers=key, timeout=20).text
        kill_session(web)
    (unheard,) = (line for line in metrics.splitlines() if line.startswith("flagsite_unheard_seconds_total"))
    assert float(unheard.split()[1]) > 0


def _listener(installation: PooledInstallation, port: int) -> str:
    with contextlib.suppress(httpx.ConnectError):
        return str(_readiness(installation, port)["checks"]["listener"])
    return ""


def _readiness(installation: PooledInstallation, port: int) -> Any:
    key = {"Authorization": f"Bearer {installation.key}"}
    return httpx.get(f"http://127.0.0.1:{port}/readyz", headers=key, timeout=20).json()
