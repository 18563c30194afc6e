"""Imports of organizations that are enqueued for an uploaded file."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from django.db.models.functions import Now

from conftest import Cast, _key
from jobs.artifacts import uploads
from jobs.artifacts.files import artifact_files, opened
from jobs.artifacts.models import Artifact
from jobs.batches.creation import Callback, Member, create_batch
from jobs.engine import runner
from jobs.engine.models import Job
from jobs.imports.import_job import KIND
from jobs.imports.progress import ImportProgress
from jobs.operations.enqueue import enqueue
from jobs.tests.engine_steps import statuses
from jobs.tests.imports.uploading import IMPORTS, counts, file_of, work
from orgs.access import access_keys
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.importing import importer
from orgs.tests.api import Api, kind_of
from orgs.tests.trees import get, paths

pytestmark = pytest.mark.django_db
FILE = file_of("a,A,oslo", "b,B,a")


def uploaded(content: bytes = FILE, organization_id: int | None = None, name: str = "stores.csv") -> int:
    caller = Caller("command:olga", Role.ADMIN, organization_id)
    return uploads.upload(caller, BytesIO(content), name=name, media_type="text/csv").pk


def enqueued(key: str, artifact_id: int, **body: Any) -> Any:
    arguments = {"artifactId": artifact_id} | body.pop("arguments", {})
    return Api(key).post("/v1/queue/jobs", {"kind": KIND, "arguments": arguments} | body)


def result(key: str, answer: Any) -> dict[str, Any]:
    """The result of the import when it is done."""
    assert answer.status_code == 202, answer.content
    work()
    return dict(Api(key).get(f"{IMPORTS}/{answer.json()['jobId']}").json())


def report_of(job_id: int) -> bytes:
    with opened(Artifact.objects.get(job=job_id, name="report.csv").storage_key) as file:
        return file.read()


def test_an_uploaded_file_is_imported(cast: Cast, admin_key: str) -> None:
    imported = result(admin_key, enqueued(admin_key, uploaded(), reason="new stores"))
    assert counts(imported) == ("COMPLETED", 2, 0, 0, 0, 0)
    assert (imported["fileName"], imported["dryRun"]) == ("stores.csv", False)
    assert {"acme/north/oslo/a", "acme/north/oslo/a/b"} <= paths()
    assert report_of(imported["jobId"]).decode().splitlines()[1].startswith("2,create,a,A,")
    entry = AuditEntry.objects.get(action="organizations.import")
    assert (entry.reason, entry.actor.startswith("key:")) == ("new stores", True)
    assert AuditEntry.objects.get(action="organizations.import_request").details["file"] == "stores.csv"


def test_an_import_can_be_read_before_it_starts(cast: Cast, admin_key: str) -> None:
    job_id = enqueued(admin_key, uploaded()).json()["jobId"]
    assert Api(admin_key).get(f"{IMPORTS}/{job_id}").json()["status"] == "PENDING"


def test_a_dry_run_is_applied_without_another_upload(cast: Cast, admin_key: str) -> None:
    before = paths()
    arguments = {"dryRun": True, "keyPrefix": "x-", "columns": "parent_key=parent", "delimiter": "semicolon"}
    artifact_id = uploaded(b"key;name;parent\na;A;\n")
    checked = result(admin_key, enqueued(admin_key, artifact_id, arguments=arguments, organizationId=cast.oslo.pk))
    assert (counts(checked), paths()) == (("COMPLETED", 1, 0, 0, 0, 0), before)
    applied = Api(admin_key).post(f"{IMPORTS}/{checked['jobId']}/apply")
    assert counts(result(admin_key, applied)) == ("COMPLETED", 1, 0, 0, 0, 0)
    assert "acme/north/oslo/x-a" in paths()


def test_a_refused_file_fails_with_its_problems_as_an_artifact(cast: Cast, admin_key: str) -> None:
    refused = result(admin_key, enqueued(admin_key, uploaded(file_of("a,A,missing"))))
    assert (refused["status"], refused["problems"]) == ("FAILED", 1)
    assert b"missing" in report_of(refused["jobId"])


def test_a_cancelled_import_leaves_nothing(cast: Cast, admin_key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job.objects.get(pk=enqueued(admin_key, uploaded()).json()["jobId"])
    real = ImportProgress.__call__

    def called(progress: ImportProgress, now: str, done: int, total: int | None) -> None:
        if now == importer.WRITING:
            Job.objects.filter(pk=job.pk).update(cancel_requested_at=Now(), cancelled_by="alice")
            progress.turn()
        real(progress, now, done, total)

    monkeypatch.setattr(ImportProgress, "__call__", called)
    before = paths()
    runner.run_next("default")
    assert (statuses(job), paths(), job.artifacts.count()) == (["CANCELLED"], before, 0)


def test_only_admins_import(cast: Cast) -> None:
    operator = access_keys.create(name="operator", role=Role.OPERATOR)[1]
    answer = enqueued(operator, uploaded())
    assert (answer.status_code, kind_of(answer)) == (403, "not-permitted")
    assert not Job.objects.exists()


def test_a_bound_admin_imports_below_its_own_organization_and_its_own_files(cast: Cast, acme_key: str) -> None:
    own = uploaded(file_of("a,A,", "b,B,oslo"), cast.acme.pk)
    assert counts(result(acme_key, enqueued(acme_key, own))) == ("COMPLETED", 2, 0, 0, 0, 0)
    assert {"acme/a", "acme/north/oslo/b"} <= paths()
    for foreign in (uploaded(), uploaded(FILE, cast.rival.pk), 10**12):
        assert kind_of(enqueued(acme_key, foreign)) == "artifact-not-found"
    other = enqueued(acme_key, own, organizationId=cast.rival.pk)
    assert kind_of(other) == "organization-not-found"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [({"encoding": "klingon"}, "encoding"), ({"delimiter": "ab"}, "delimiter"), ({"columns": "x=y"}, "columns"),
     ({"keyPrefix": " a"}, "keyPrefix")],
)  # fmt: skip
def test_options_that_mean_nothing_are_refused_at_once(
    cast: Cast, admin_key: str, arguments: dict[str, str], word: str
) -> None:
    answer = enqueued(admin_key, uploaded(), arguments=arguments)
    assert (answer.status_code, kind_of(answer)) == (400, "invalid-job-arguments")
    assert answer.json()["detail"].startswith(f"arguments.{word}: ")


def test_a_file_that_is_gone_ends_the_job(cast: Cast, admin_key: str) -> None:
    answer = enqueued(admin_key, uploaded())
    artifact_files().delete(Artifact.objects.get().storage_key)
    assert result(admin_key, answer)["status"] == "FAILED"


def test_the_member_of_a_batch_imports_a_file_too(cast: Cast) -> None:
    create_batch("nightly", [Member(kind=KIND, arguments={"artifactId": uploaded()})], by="command:olga")
    work()
    assert get("b").parent.key == "a"


def test_the_callback_of_a_batch_imports_a_file_too(cast: Cast) -> None:
    callback = Callback(KIND, {"artifactId": uploaded()})
    create_batch("nightly", [], on_finish=callback, by="command:olga")
    work()
    assert get("b").parent.key == "a"


def test_a_callback_that_its_requester_may_not_enqueue_is_refused_at_once(cast: Cast) -> None:
    operator = Api(_key("operator", Role.OPERATOR))
    body = {"name": "nightly", "members": [], "onFinish": {"kind": KIND, "arguments": {"artifactId": uploaded()}}}
    assert kind_of(operator.post("/v1/queue/batches", body)) == "not-permitted"
    body["onFinish"]["arguments"]["artifactId"] = 999_999
    admin = Api(_key("admin", Role.ADMIN))
    assert kind_of(admin.post("/v1/queue/batches", body)) == "artifact-not-found"


def test_an_import_that_died_before_its_end_was_recorded_is_not_repeated(
    cast: Cast, admin_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = enqueue(kind=KIND, arguments={"artifactId": uploaded()}, by="command:olga").job
    monkeypatch.setattr("jobs.imports.import_job.csv_report", lambda _: 1 / 0)  # after the commit of the import
    runner.run_next("default")
    assert (statuses(job), get("b").name) == (["RETRYING", "PENDING"], "B")
    monkeypatch.undo()
    Job.objects.filter(status="PENDING").update(run_at=Now())
    work()
    assert statuses(job) == ["COMPLETED", "COMPLETED"]
    assert report_of(job.pk).count(b"create") == 2
