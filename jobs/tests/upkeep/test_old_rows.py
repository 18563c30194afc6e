"""What a clean-up deletes besides jobs, and how it can be told what to delete."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from jobs.engine.models import Job
from jobs.engine.runner import run_next
from jobs.engine.states import Status
from jobs.errors import InvalidJobArguments
from jobs.operations import cleanup
from jobs.operations.cleanup import Choice, OldRows
from jobs.operations.enqueue import enqueue
from jobs.tests.engine_steps import by_hand, endings
from jobs.upkeep import old_rows
from orgs.audit.models import AuditEntry
from orgs.idempotency.models import IdempotentRequest
from orgs.tests.api import Api

pytestmark = pytest.mark.django_db


def ago(days: float) -> Any:
    return timezone.now() - timedelta(days=days)


def answer(days: float) -> IdempotentRequest:
    key = f"k{IdempotentRequest.objects.count()}"
    return IdempotentRequest.objects.create(caller="key:a", key=key, fingerprint="f", created_at=ago(days))


def session(days: float) -> Session:
    """A session that expired so many days ago."""
    key = f"s{Session.objects.count()}"
    return Session.objects.create(session_key=key, session_data="", expire_date=ago(days))


def ended(days: float) -> Job:
    return by_hand(Status.COMPLETED, created_at=ago(days + 1), completed_at=ago(days))


def cleaned(**arguments: Any) -> Job:
    """Run a clean-up to its end; returns its job."""
    job = enqueue(kind="cleanup", arguments=arguments, by="user:olga").job
    assert run_next("cleanup") is not None
    job.refresh_from_db()
    assert job.status == Status.COMPLETED, job.error_message
    return job


def test_old_answers_and_expired_sessions_go_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(old_rows, "BATCH_SIZE", 2)
    young_answer, young_session = answer(0.5), session(-1)
    for _ in range(5):
        answer(2), session(0.1)
    job = cleaned()
    assert job.result == {"dryRun": False, "deleted": {"answers": 5, "sessions": 5}, "finished": True}
    assert list(IdempotentRequest.objects.all()) == [young_answer]
    assert list(Session.objects.all()) == [young_session]
    assert job.processed == 10


def test_rotated_log_files_go_and_files_that_may_be_written_stay(settings: Any, tmp_path: Path) -> None:
    settings.LOG_FOLDER, settings.LOG_KEEP_DAYS = str(tmp_path), 30
    old = time.time() - 31 * 86_400
    for name in ("web.log", "web.log.1", "web.log-20260101", "web.log.2.gz", "notes.txt", "young.log.1"):
        (tmp_path / name).write_text("line")
        if name != "young.log.1":
            os.utime(tmp_path / name, (old, old))
    (tmp_path / "folder.log.1").mkdir()
    (tmp_path / "link.log.1").symlink_to(tmp_path / "notes.txt")
    assert cleaned(only=["logFiles"]).result["deleted"] == {"logFiles": 3}
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {"web.log", "notes.txt", "young.log.1", "folder.log.1", "link.log.1"}


def test_without_a_folder_no_file_is_old(settings: Any) -> None:
    settings.LOG_FOLDER = None
    assert list(old_rows.old_log_files(1)) == []


def test_only_what_is_named_goes() -> None:
    job, kept = ended(50), answer(50)
    session(50)
    cleaned(only=["sessions"])
    assert not Session.objects.exists()
    assert list(IdempotentRequest.objects.all()) == [kept]
    assert Job.objects.filter(pk=job.pk).exists()
    cleaned(only=["jobs"])
    assert not Job.objects.filter(pk=job.pk).exists()
    assert IdempotentRequest.objects.exists()


def test_the_days_of_the_request_take_the_place_of_the_settings() -> None:
    jobs, answers, sessions = [ended(3), ended(40)], [answer(3), answer(40)], [session(3), session(40)]
    assert cleaned(olderThanDays=35).result["deleted"] == {"COMPLETED": 1, "answers": 1, "sessions": 1}
    assert Job.objects.filter(pk=jobs[0].pk).exists()
    assert list(IdempotentRequest.objects.all()) == answers[:1]
    assert list(Session.objects.all()) == sessions[:1]
    assert cleaned(olderThanDays=2, only=["jobs"]).result["deleted"] == {"COMPLETED": 1}


def test_a_dry_run_counts_what_a_clean_up_would_delete_and_deletes_nothing() -> None:
    job, _, _ = ended(50), answer(50), session(50)
    would = cleaned(dryRun=True).result["wouldDelete"]
    assert would.items() >= {"COMPLETED": 1, "FAILED": 0, "answers": 1, "sessions": 1, "schedules": 0}.items()
    assert (IdempotentRequest.objects.count(), Session.objects.count()) == (1, 1)
    assert Job.objects.filter(pk=job.pk).exists()
    assert not AuditEntry.objects.filter(action="jobs.cleaned").exists()


def test_the_same_clean_up_is_open_once_and_another_one_beside_it() -> None:
    whole, again = cleanup.request(by="olga"), cleanup.request(by="schedule")
    dry = enqueue(kind="cleanup", arguments={"dryRun": True}).job
    sessions = cleanup.request(choice=Choice(["sessions"]))
    assert whole == again
    assert len({whole.pk, dry.pk, sessions.pk}) == 3
    assert enqueue(kind="cleanup", arguments={"only": ["sessions"]}).job == sessions


@pytest.mark.parametrize("arguments", [{"only": ["orgs_historyentry"]}, {"olderThanDays": 0}])
def test_other_rows_such_as_the_audit_log_cannot_be_named(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidJobArguments):
        enqueue(kind="cleanup", arguments=arguments)


def test_a_request_over_http_names_rows_and_days(admin_key: str) -> None:
    session(50), session(3), answer(50)
    body = {"only": ["sessions"], "olderThanDays": 30}
    counted = Api(admin_key).post("/v1/jobs/clean-up", body | {"dryRun": True})
    assert counted.json()["others"] == {"sessions": 1}
    started = Api(admin_key).post("/v1/jobs/clean-up", body)
    assert started.status_code == 202
    assert Job.objects.get(pk=started.json()["jobId"]).arguments == body | {"dryRun": False}
    assert Api(admin_key).post("/v1/jobs/clean-up", {"only": ["mist"]}).status_code == 400


def test_rows_that_cannot_be_deleted_keep_no_others_from_going(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(position: int | None, days: int | None) -> tuple[int | None, int]:
        raise OSError("the storage is away")

    monkeypatch.setattr(cleanup, "_other_rows", [OldRows("files", lambda days: 1, away), *cleanup._other_rows])
    session(1)
    job = enqueue(kind="cleanup", by="user:olga").job
    assert run_next("cleanup") is not None
    assert not Session.objects.exists()
    assert endings(job) == ["FAILED", "PENDING"]
    assert AuditEntry.objects.get(action="jobs.cleaned").details["finished"] is False
