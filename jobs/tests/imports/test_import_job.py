"""The job of an import: interruptions, cancellation, retries, the tree lock, and the files that stay behind."""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db.models.functions import Now

from conftest import Cast
from jobs.engine import claiming, runner, stop_request
from jobs.engine.models import Job
from jobs.errors import CancelRequested, LeaseLost
from jobs.imports import import_job, stored_file
from jobs.imports.models import ImportFile, ImportLine
from jobs.imports.progress import ImportProgress
from jobs.operations import job_operations
from jobs.tests.engine_steps import endings, make_due, statuses
from jobs.tests.imports.uploading import file_of, record_of, started, upload, work
from orgs.access import access_keys
from orgs.access.models import AccessKey, Role, StaffScope
from orgs.importing import importer
from orgs.importing.options import ImportOptions
from orgs.tests.trees import paths
from orgs.tree import tree_operations


@pytest.fixture
def job(cast: Cast, admin_key: str) -> Job:
    """An import that waits."""
    return Job.objects.get(pk=started(upload(admin_key, file_of("a,A,oslo", "b,B,a"))))


def failing_once(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let the importer raise the error after its work, one time."""
    real, errors = importer.import_organizations, [error]

    def called(*arguments: Any, **named: Any) -> Any:
        report = real(*arguments, **named)
        if errors:
            raise errors.pop()
        return report

    monkeypatch.setattr(importer, "import_organizations", called)


def test_an_attempt_that_fails_changes_nothing_and_the_retry_imports_the_same_file(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_once(monkeypatch, RuntimeError("a bug"))
    before = paths()
    runner.run_next("default")
    assert (statuses(job), paths()) == (["RETRYING", "PENDING"], before)
    assert not ImportLine.objects.exists()
    make_due()
    work()
    assert endings(job) == ["FAILED", "COMPLETED"]
    assert "acme/north/oslo/a/b" in paths()
    assert record_of(job.pk).created == 2


def test_a_worker_that_has_lost_its_lease_changes_nothing(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importer.import_organizations

    def called(*arguments: Any, **named: Any) -> Any:
        report = real(*arguments, **named)
        Job.objects.filter(pk=job.pk).update(lease_token="00000000-0000-0000-0000-000000000001")
        return report

    monkeypatch.setattr(importer, "import_organizations", called)
    before = paths()
    runner.run_next("default")
    assert paths() == before
    assert ImportFile.objects.exists()


@pytest.mark.parametrize("step", [importer.READING, importer.COMPARING, importer.WRITING, importer.TAKING_OVER])
def test_a_worker_that_has_to_stop_hands_the_import_back(job: Job, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    real = ImportProgress.__call__

    def called(progress: ImportProgress, now: str, done: int, total: int | None) -> None:
        if now == step:
            stop_request.request_stop()
        real(progress, now, done, total)

    monkeypatch.setattr(ImportProgress, "__call__", called)
    before = paths()
    try:
        runner.run_next("default")
    finally:
        stop_request.withdraw()
    assert (statuses(job), paths()) == (["PENDING"], before)
    monkeypatch.setattr(ImportProgress, "__call__", real)
    work()
    job.refresh_from_db()
    assert (statuses(job), job.processed, job.total) == (["COMPLETED"], 2, 2)


def test_a_cancelled_import_changes_nothing(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ImportProgress.__call__

    def called(progress: ImportProgress, now: str, done: int, total: int | None) -> None:
        if now == importer.WRITING:
            Job.objects.filter(pk=job.pk).update(cancel_requested_at=Now(), cancelled_by="alice")
            progress.turn()
        real(progress, now, done, total)

    monkeypatch.setattr(ImportProgress, "__call__", called)
    before = paths()
    runner.run_next("default")
    assert (statuses(job), paths()) == (["CANCELLED"], before)


def test_the_progress_tells_the_step_and_ends_the_work_of_a_cancelled_job(job: Job) -> None:
    claimed = claiming.claim(queue="default", worker="w")
    assert claimed is not None
    progress = ImportProgress(runner.Run(claimed), file_size=900)
    progress(importer.READING, 300, None)
    progress.turn()
    record = record_of(job.pk)
    assert (record.step, record.done, record.step_total) == ("reading", 300, 900)
    progress(importer.WRITING, 10, 20)
    progress.turn()
    record.refresh_from_db()
    assert (record.step, record.done, record.step_total) == ("writing", 10, 20)
    job_operations.cancel(job_id=job.pk, by="alice")
    progress.turn()
    with pytest.raises(CancelRequested):
        progress(importer.WRITING, 20, 20)


def test_a_person_may_retry_an_import_whose_file_was_refused(cast: Cast, admin_key: str) -> None:
    job_id = started(upload(admin_key, file_of("a,A,missing")))
    work()
    tree_operations.create(name="Missing", key="missing")
    job_operations.retry(job_id=job_id, by="alice")
    work()
    assert endings(Job.objects.get(pk=job_id)) == ["FAILED", "COMPLETED"]
    record = record_of(job_id)
    assert (record.created, record.problems, record.refusal) == (1, 0, "")
    assert [line.problem for line in record.lines.all()] == [""]


def test_an_import_whose_file_is_gone_fails_for_good(job: Job) -> None:
    ImportFile.objects.all().delete()
    work()
    job.refresh_from_db()
    assert (statuses(job), job.error_message) == (["FAILED"], import_job.ImportFileGone().detail)


def test_an_import_below_a_deleted_organization_fails_for_good(cast: Cast, admin_key: str) -> None:
    job_id = started(upload(admin_key, file_of("a,A,"), "below=rome"))
    tree_operations.delete(organization_id=cast.rome.pk)
    work()
    assert statuses(Job.objects.get(pk=job_id)) == ["FAILED"]


def test_an_organization_that_left_the_scope_meanwhile_is_not_imported_into(cast: Cast, acme_key: str) -> None:
    job_id = started(upload(acme_key, file_of("a,A,"), "below=oslo"))
    tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.rival.pk)
    work()
    assert statuses(Job.objects.get(pk=job_id)) == ["FAILED"]
    assert "rival/oslo/a" not in paths()


@pytest.mark.parametrize("is_dry_run", [False, True])
@pytest.mark.parametrize("end", ["revoked", "expired", "deleted"])
def test_an_import_of_a_key_that_is_not_valid_any_more_fails_for_good(cast: Cast, is_dry_run: bool, end: str) -> None:
    key, secret = access_keys.create(name="nightly", role=Role.ADMIN)
    job_id = started(upload(secret, file_of("a,A,oslo"), "dryRun=true" if is_dry_run else ""))
    if end == "revoked":
        access_keys.revoke(prefix=key.prefix)
    elif end == "expired":
        AccessKey.objects.filter(pk=key.pk).update(expiry_date=Now() - timedelta(hours=1))
    else:
        AccessKey.objects.filter(pk=key.pk).delete()
    before = paths()
    work()
    job = Job.objects.get(pk=job_id)
    assert (statuses(job), paths()) == (["FAILED"], before)
    assert f"the access key has {'been ' if end != 'expired' else ''}{end}" in str(job.error_message)


def test_an_import_of_a_rotated_key_runs_in_the_name_of_its_successor(cast: Cast) -> None:
    key, secret = access_keys.create(name="nightly", role=Role.ADMIN)
    job_id = started(upload(secret, file_of("a,A,oslo")))
    access_keys.rotate(prefix=key.prefix)
    AccessKey.objects.filter(pk=key.pk).update(expiry_date=Now() - timedelta(hours=1))
    work()
    assert statuses(Job.objects.get(pk=job_id)) == ["COMPLETED"]


def test_the_clean_up_deletes_files_that_nothing_needs_any_more(job: Job, admin_key: str) -> None:
    work()
    started(upload(admin_key, file_of("c,C,"), "dryRun=true"))
    work()
    old = ImportFile.objects.get()
    started(upload(admin_key, file_of("d,D,"), "dryRun=true"))
    Job.objects.filter(status="PENDING").update(run_at=Now() + timedelta(days=2))
    ImportFile.objects.update(created_at=Now() - timedelta(hours=stored_file.KEPT_HOURS + 1))
    assert list(stored_file.old_files()) == [old]
    started(upload(admin_key, file_of("e,E,"), "dryRun=true"))
    work()
    call_command("cleanup_jobs")
    work()
    assert set(ImportFile.objects.values_list("imports__job__status", flat=True)) == {"PENDING", "COMPLETED"}
    assert not ImportFile.objects.filter(pk=old.pk).exists()


def test_the_clean_up_deletes_imports_with_their_jobs(job: Job, settings: Any) -> None:
    work()
    settings.JOBS_KEEP_COMPLETED_DAYS = 0
    call_command("cleanup_jobs")
    work()
    assert not Job.objects.filter(pk=job.pk).exists()
    assert not ImportLine.objects.exists()


def test_a_lost_lease_ends_the_work_at_the_next_progress(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    claimed = claiming.claim(queue="default", worker="w")
    assert claimed is not None
    run = runner.Run(claimed)
    monkeypatch.setattr(type(run.heartbeat), "lost", True)
    with pytest.raises(LeaseLost):
        ImportProgress(run, file_size=1)(importer.READING, 1, None)


# --- the rights of now -----------------------------------------------------------------------------------------------
def refused_as(job_id: int) -> str:
    before = paths()
    work()
    assert paths() == before
    job = Job.objects.get(pk=job_id)
    assert job.status == "FAILED"
    return str(job.error_message)


def test_an_import_of_a_person_without_the_rights_by_now_changes_nothing(cast: Cast) -> None:
    person = User.objects.create_user("anna", password="a long enough password")
    person.groups.add(Group.objects.get(name="admin"))
    options = ImportOptions(scope_id=cast.acme.pk)

    def requested() -> int:
        content = BytesIO(file_of("a,A,oslo"))
        return int(import_job.request(content, name="", options=options, dry_run=False, by="user:anna").pk)

    scope = StaffScope.objects.create(user=person, organization=cast.rival)
    assert "the organization is no longer in the own subtree" in refused_as(requested())
    scope.delete()
    person.groups.set([Group.objects.get(name="operator")])
    assert "the role is operator by now, and this needs admin" in refused_as(requested())
    User.objects.update(is_active=False)
    assert "the person has no access to Flagsite by now" in refused_as(requested())
