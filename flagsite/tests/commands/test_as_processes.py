"""The commands as people and scripts run them: bin/manage as a process, with real servers and workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flagsite.tests.crash.installation import CHECKOUT, Installation, eventually, kill_session

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
LEAVES = 400


@pytest.fixture(scope="module")
def _installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    installation = Installation(tmp_path_factory.mktemp("commands"))
    try:
        installation.start()
        yield installation
    finally:
        installation.stop()


@pytest.fixture
def site(_installed: Installation) -> Iterator[Installation]:
    """Servers and a tree; each test starts the workers that it wants."""
    _installed.plant_tree(1, LEAVES)
    yield _installed
    for process in _installed.processes:
        if process is not _installed.web:
            kill_session(process)
    _installed.processes[:] = [process for process in _installed.processes if process is _installed.web]
    _installed.sql("DELETE FROM jobs_worker")


def manage(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    words = [str(CHECKOUT / "bin" / "manage"), *map(str, arguments)]
    done = subprocess.run(words, env=environment, cwd="/", capture_output=True, text=True, check=False, timeout=90)
    assert "Traceback" not in done.stderr
    return done


def answered(done: subprocess.CompletedProcess[str], status: int = 0) -> Any:
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


def is_log_line(line: str) -> bool:
    """Whether this is a log line in JSON, and no note for people."""
    return line.startswith("{")


def audit_entries(site: Installation) -> list[Any]:
    return site.sql(
        """
        SELECT actor LIKE 'command:%@%', action, subject, reason, via FROM orgs_historyentry
         WHERE action IN ('flag.set', 'job.retry') ORDER BY id DESC LIMIT 2
        """
    )


def test_watching_is_interrupted_and_taken_up_again(site: Installation) -> None:
    site.slow_down(0.3)
    words = [str(CHECKOUT / "bin" / "manage"), "set_flag", "root", "checkout", "on", "--wait"]
    with subprocess.Popen(
        words, env=site.environment, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        notes = (line for line in process.stderr if not is_log_line(line))
        job_id = int(next(notes).split()[1])
        assert "No worker is alive" in next(notes)
        site.start_worker()
        assert f"job {job_id} IN_PROGRESS" in next(notes)
        process.send_signal(signal.SIGINT)
        out, rest = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert f"The command has stopped, and job {job_id} goes on." in rest
    assert "Traceback" not in rest
    site.speed_up()
    done = answered(manage(site.environment, "job", job_id, "--follow", "--json"))
    assert (done["job"]["status"], done["job"]["processedOrganizations"]) == ("COMPLETED", LEAVES + 2)
    state = manage(site.environment, "flag_state", "o0-7", "checkout")
    assert state.stdout.startswith("checkout is on for o0-7 (id 9): inherited from root (id 1), since ")


def test_what_failed_is_retried_and_comes_to_a_good_end(site: Installation) -> None:
    site.start_worker()
    site.sql(
        """
        CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'value out of range' USING ERRCODE = '22003'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON flags_flagstate
            FOR EACH ROW WHEN (NEW.organization_id = 10) EXECUTE FUNCTION refuse()
        """
    )
    partly = answered(manage(site.environment, "set_flag", "root", "checkout", "on", "--wait", "--json"), status=1)
    job_id = partly["jobId"]
    assert (partly["job"]["status"], partly["job"]["failedOrganizations"]) == ("COMPLETED", 1)
    site.sql("DROP TRIGGER refuse ON flags_flagstate")
    retried = manage(site.environment, "retry_failed", "--since", "1h", "--reason", "mended")
    assert (retried.stdout, retried.returncode) == ("1 retried, 0 skipped.\n", 0)
    logged = [json.loads(line) for line in retried.stderr.splitlines()]
    assert {line["event"] for line in logged} == {"job_manual_retry", "operation_recorded"}
    assert {(line["level"], line["data"]["reason"]) for line in logged} == {("info", "mended")}
    followed = answered(manage(site.environment, "job", job_id, "--follow", "--json"))
    assert followed["job"]["chain"]["status"] == "COMPLETED"
    assert site.values("checkout") == {(True, 1)}
    assert audit_entries(site) == [
        (True, "job.retry", f"job:{job_id}", "mended", "command"),
        (True, "flag.set", "flag:checkout", "", "command"),
    ]


def test_the_doctor_sees_what_is_there_and_what_is_not(site: Installation) -> None:
    ill = answered(manage(site.environment, "doctor", "--json"), status=1)
    assert {one["name"] for one in ill["checks"] if one["state"] == "problem"} == {"beat", "workers"}
    site.start_worker()
    site.run("celery", "-A", "flagsite", "beat")
    eventually(lambda: site.sql("SELECT count(*) FROM jobs_worker") == [(1,)], within=60)
    eventually(lambda: manage(site.environment, "doctor").returncode == 0, within=60)


def test_servers_that_are_away_and_settings_that_make_no_sense_are_told_in_a_line(tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "FLAGSITE_DATA_DIR": str(tmp_path),
        "FLAGSITE_ENVIRONMENT": "development",
        "DATABASE_URL": "postgresql://x:y@127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    listed = manage(environment, "jobs")
    assert (listed.returncode, listed.stdout) == (1, "")
    assert listed.stderr.startswith("The database does not answer: ")
    assert len(listed.stderr.splitlines()) == 1
    checked = manage(environment, "check_tree")
    assert checked.returncode == 1
    assert checked.stderr.startswith("Flagsite: The database does not answer: ")
    told = answered(manage(environment, "doctor", "--json"), status=1)
    assert {one["name"] for one in told["checks"] if one["state"] == "problem"} == {"database", "broker"}
    done = manage(environment | {"PAGE_SIZE": "many"}, "doctor")
    assert (done.returncode, done.stdout) == (1, "")
    refusal = "PAGE_SIZE is 'many', which is not a number. Set it to a number from 1 to 1000."
    assert done.stderr == f"Flagsite: {refusal}\n"
