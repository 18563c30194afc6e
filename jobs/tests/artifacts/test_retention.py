"""The end of artifacts: expiry, files without a row, and what the clean-up leaves alone."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from django.db.models.functions import Now
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from jobs.artifacts import retention, uploads
from jobs.artifacts.files import LocalFiles, StoredFile
from jobs.artifacts.models import Artifact
from jobs.artifacts.retention import OLD_ARTIFACTS, ORPHANS
from jobs.engine import lifecycle, runner
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.operations import cleanup
from jobs.tests.artifacts.making import age, make, stored, write
from jobs.tests.engine_steps import KIND, LONG_AGO, doing
from orgs.access.caller import Caller
from orgs.access.models import Role

pytestmark = pytest.mark.django_db
EVERYBODY = Caller("user:olga", Role.ADMIN)


@pytest.fixture
def commits(django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks) -> DjangoCaptureOnCommitCallbacks:
    return django_capture_on_commit_callbacks


def clean_up(commits: DjangoCaptureOnCommitCallbacks) -> Job:
    """Run a clean-up, with what follows its commits."""
    with commits(execute=True):
        job = cleanup.request(by="user:olga")
        runner.run_next("cleanup")
    job.refresh_from_db()
    return job


def crash(*names: str) -> Job:
    """A worker that dies after it has written the files, and before the end of the job."""

    class Killed(BaseException):
        pass

    def die(run: Run) -> None:
        write(run, names)
        raise Killed

    job = lifecycle.create(kind=KIND)
    with doing(die), pytest.raises(Killed):
        runner.run_next("default")
    return job


def test_a_crash_between_file_and_row_leaves_nothing_for_longer_than_a_day(
    commits: DjangoCaptureOnCommitCallbacks,
) -> None:
    job = crash("a.csv")
    (key,) = stored()
    assert not Artifact.objects.exists()
    lifecycle.fail(job_id=job.pk, lease=Job.objects.get(pk=job.pk).lease_token, error="gone", permanent=True)
    clean_up(commits)
    assert stored() == [key]  # younger than a day
    age(key)
    clean_up(commits)
    assert stored() == []


def test_files_of_a_chain_that_is_open_stay(commits: DjangoCaptureOnCommitCallbacks) -> None:
    crash("a.csv")
    (key,) = stored()
    age(key)
    clean_up(commits)
    assert stored() == [key]


def test_files_with_a_row_stay_and_expired_artifacts_go_with_their_files(
    commits: DjangoCaptureOnCommitCallbacks, folder: Path
) -> None:
    kept, gone = make("kept.csv"), make("gone.csv")
    for key in stored():
        age(key)
    Artifact.objects.filter(job=gone).update(expires_at=Now())
    assert (OLD_ARTIFACTS.count(None), ORPHANS.count(None)) == (1, 0)
    clean_up(commits)
    assert [artifact.job_id for artifact in Artifact.objects.all()] == [kept.pk]
    assert [key.partition("/")[0] for key in stored()] == [str(kept.pk)]
    assert [path.name for path in folder.iterdir()] == [str(kept.pk)]  # no empty folders


def test_the_artifacts_of_a_deleted_job_go_with_it(commits: DjangoCaptureOnCommitCallbacks) -> None:
    job = make("a.csv")
    age(stored()[0])
    Job.objects.filter(pk=job.pk).update(completed_at=LONG_AGO, created_at=LONG_AGO)
    clean_up(commits)
    assert (Job.objects.filter(pk=job.pk).exists(), Artifact.objects.exists(), stored()) == (False, False, [])


def test_an_uploaded_file_stays_as_long_as_a_job_needs_it(commits: DjangoCaptureOnCommitCallbacks) -> None:
    artifact = uploads.upload(EVERYBODY, BytesIO(b"x"), name="users.csv", media_type="text/csv")
    Artifact.objects.update(expires_at=Now())
    job = lifecycle.create(kind=KIND, arguments={"artifactId": float(artifact.pk)})
    clean_up(commits)
    assert Artifact.objects.filter(pk=artifact.pk).exists()
    runner.run_next(job.queue)
    clean_up(commits)
    assert (Artifact.objects.exists(), stored()) == (False, [])


def test_the_clean_up_deletes_no_file_that_is_not_of_an_artifact(
    commits: DjangoCaptureOnCommitCallbacks, folder: Path
) -> None:
    strange = ["notes.txt", "12/notes.txt", f"12/{'g' * 32}/a.csv", "uploads/notes.txt", f"12/{'a' * 32}/.profile"]
    for name in strange:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
        age(name)
    clean_up(commits)
    assert stored() == sorted(strange)


class CountedFiles(LocalFiles):
    """Files in a folder that counts how often it is listed."""

    listings = 0

    def stored_files(self) -> Iterator[StoredFile]:
        type(self).listings += 1
        yield from super().stored_files()


def test_a_clean_up_lists_the_storage_once_however_many_files_it_deletes(
    commits: DjangoCaptureOnCommitCallbacks, folder: Path, settings: Settings
) -> None:
    counted = {"BACKEND": f"{__name__}.CountedFiles", "OPTIONS": {"location": str(folder)}}
    settings.STORAGES = {**settings.STORAGES, "artifacts": counted}
    for number in range(2 * retention.BATCH_SIZE + 1):
        key = f"{uploads.UPLOADS}/{number:032x}"
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).touch()
        age(key)
    job = clean_up(commits)
    assert job.result["deleted"] == {"filesWithoutArtifact": 2 * retention.BATCH_SIZE + 1}
    assert (stored(), CountedFiles.listings) == ([], 2)  # the second one is that of this test


@pytest.mark.parametrize("named", [None, "no number", 10**30, {}])
def test_a_job_that_names_no_artifact_keeps_none(commits: DjangoCaptureOnCommitCallbacks, named: object) -> None:
    make("gone.csv")
    Artifact.objects.update(expires_at=Now())
    lifecycle.create(kind=KIND, arguments={"artifactId": named})
    clean_up(commits)
    assert not Artifact.objects.exists()
