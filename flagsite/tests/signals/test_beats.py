"""Beats as real processes: two of them, killed ones, a database that goes and comes, a schedule that is changed."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from flagsite.beat import BEAT_LOCK
from flagsite.tests.crash.installation import Installation, eventually, kill_session

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
CLEAN_UPS = "SELECT count(*) FROM jobs_job WHERE kind = 'cleanup'"
RUNS = "SELECT total_run_count FROM django_celery_beat_periodictask WHERE name = %s"
HOLDER = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND granted"
INTERVAL = "(SELECT id FROM django_celery_beat_intervalschedule WHERE every = {} AND period = 'seconds' LIMIT 1)"


def start_beat(installation: Installation) -> subprocess.Popen[bytes]:
    return installation.run("celery", "-A", "flagsite", "--quiet", "beat", "--pidfile=")


def runs(installation: Installation, name: str) -> int:
    return int(installation.sql(RUNS, [name])[0][0])


def change(installation: Installation, name: str, schedule: str) -> None:
    """As the admin site does: write the schedule, and say that something has changed."""
    installation.sql(f"UPDATE django_celery_beat_periodictask SET {schedule} WHERE name = %s", [name])
    installation.sql("UPDATE django_celery_beat_periodictasks SET last_update = now()")


def clean_up_is_overdue(installation: Installation) -> None:
    """As if nothing had asked for a clean-up for two days."""
    change(installation, "clean up old jobs", "enabled = true, last_run_at = now() - interval '2 days'")


@pytest.fixture(autouse=True)
def calm(observed: Installation) -> None:
    """Nothing has run yet, and nothing is due but what a test makes so."""
    observed.sql("TRUNCATE jobs_job, jobs_jobfailure, jobs_deedtarget, flags_change, jobs_canary CASCADE")
    observed.sql("UPDATE django_celery_beat_periodictask SET last_run_at = now(), total_run_count = 0, enabled = true")
    observed.sql("UPDATE django_celery_beat_periodictask SET enabled = false WHERE name = 'clean up old jobs'")


def test_of_two_beats_one_is_at_work_and_each_slot_is_used_once(observed: Installation) -> None:
    clean_up_is_overdue(observed)
    beats = [start_beat(observed), start_beat(observed)]
    eventually(lambda: runs(observed, "sweep") >= 3, within=60)
    assert all(beat.poll() is None for beat in beats)
    assert observed.sql(CLEAN_UPS) == [(1,)]
    assert runs(observed, "clean up old jobs") == 1
    assert len(observed.sql(HOLDER, [BEAT_LOCK])) == 1


def test_when_the_beat_at_work_is_killed_the_other_takes_over_without_a_second_daily_run(
    observed: Installation,
) -> None:
    clean_up_is_overdue(observed)
    first = start_beat(observed)
    eventually(lambda: observed.sql(CLEAN_UPS) == [(1,)], within=60)
    second = start_beat(observed)
    kill_session(first)
    had = runs(observed, "sweep")
    eventually(lambda: runs(observed, "sweep") >= had + 2, within=60)
    assert second.poll() is None
    assert observed.sql(CLEAN_UPS) == [(1,)]
    assert runs(observed, "clean up old jobs") == 1


def test_a_beat_survives_a_restart_of_postgresql(observed: Installation) -> None:
    beat = start_beat(observed)
    eventually(lambda: runs(observed, "sweep") >= 1, within=60)
    observed.postgres.stop()
    assert beat.poll() is None
    observed.postgres.start()
    had = runs(observed, "sweep")
    eventually(lambda: runs(observed, "sweep") >= had + 2, within=60)
    clean_up_is_overdue(observed)
    eventually(lambda: observed.sql(CLEAN_UPS) == [(1,)], within=60)
    assert beat.poll() is None


def test_a_beat_without_a_broker_still_writes_the_daily_job(observed: Installation) -> None:
    observed.valkey.stop()
    start_beat(observed)
    clean_up_is_overdue(observed)
    eventually(lambda: observed.sql(CLEAN_UPS) == [(1,)], within=60)
    had = runs(observed, "sweep")
    observed.valkey.start()
    eventually(lambda: runs(observed, "sweep") >= had + 2, within=60)


def test_a_schedule_that_is_changed_is_taken_over_by_the_running_beat(observed: Installation) -> None:
    start_beat(observed)
    eventually(lambda: runs(observed, "sweep") >= 1, within=60)
    assert runs(observed, "canary") == 0
    observed.sql("INSERT INTO django_celery_beat_intervalschedule (every, period) VALUES (2, 'seconds')")
    change(observed, "canary", f"interval_id = {INTERVAL.format(2)}")
    try:
        eventually(lambda: runs(observed, "canary") >= 2, within=30)
        change(observed, "sweep", "enabled = false")
        eventually(lambda: runs(observed, "canary") >= 6, within=30)  # beat looks for changes each five seconds
        had = runs(observed, "sweep")
        eventually(lambda: runs(observed, "canary") >= 10, within=30)
        assert runs(observed, "sweep") == had
    finally:
        change(observed, "canary", f"interval_id = {INTERVAL.format(60)}")


def test_a_beat_that_is_told_to_stop_gives_the_lock_away_at_once(observed: Installation) -> None:
    beat = start_beat(observed)
    eventually(lambda: len(observed.sql(HOLDER, [BEAT_LOCK])) == 1, within=60)
    os.kill(beat.pid, signal.SIGTERM)
    beat.wait(timeout=20)
    eventually(lambda: observed.sql(HOLDER, [BEAT_LOCK]) == [], within=10)
