"""Importing organizations by HTTP: the upload, the job, its result and its report."""

from __future__ import annotations

import csv
from typing import Any

import pytest
from pytest_django import Settings

from conftest import Cast
from jobs.engine.models import Job
from jobs.imports.models import ImportFile
from jobs.tests.imports.uploading import (
    IMPORTS,
    counts,
    file_of,
    imported,
    started,
    upload,
    upload_form,
    work,
)
from orgs.access.models import AccessKey, Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of, wrong_fields
from orgs.tests.trees import get, paths
from orgs.tests.workbooks import workbook

ROWS = ("milan,Milan,south", "rome,Roma,south", "oslo,Oslo,south", "acme,Acme,")


def report(key: str, job_id: int, query: str = "") -> list[dict[str, Any]]:
    """All pages of the report."""
    rows, url = [], f"{IMPORTS}/{job_id}/report?{query}"
    while url:
        page = Api(key).get(url).json()
        rows += page["results"]
        url = page["next"]
    return rows


# --- the way of a file ------------------------------------------------------------------------------------------------
def test_a_file_is_imported_by_a_job_that_a_client_can_follow(cast: Cast, admin_key: str) -> None:
    answer = upload(admin_key, file_of(*ROWS))
    job_id = started(answer)
    assert (answer.json()["status"], answer.json()["dryRun"]) == ("PENDING", False)
    assert "acme/south/milan" not in paths()
    before = Api(admin_key).get(f"{IMPORTS}/{job_id}").json()
    assert (before["status"], before["rows"], before["problems"]) == ("PENDING", None, None)
    work()
    assert {"acme/south/milan", "acme/south/oslo"} <= paths()
    status = Api(admin_key).get(f"/job-status/{job_id}").json()
    assert (status["status"], status["totalOrganizations"], status["processedOrganizations"]) == ("COMPLETED", 4, 4)
    assert counts(Api(admin_key).get(f"{IMPORTS}/{job_id}").json()) == ("COMPLETED", 1, 1, 1, 1, 0)


def test_a_dry_run_reports_and_changes_nothing(cast: Cast, admin_key: str) -> None:
    before = paths()
    result = imported(admin_key, file_of(*ROWS), "dryRun=true")
    assert (counts(result), result["dryRun"]) == (("COMPLETED", 1, 1, 1, 1, 0), True)
    assert paths() == before
    nothing = {"formerName": None, "formerParentKey": None, "problem": None}
    assert report(admin_key, result["jobId"], "pageSize=2") == [
        {**nothing, "line": 2, "change": "create", "key": "milan", "name": "Milan", "parentKey": "south"},
        {**nothing, "line": 3, "change": "rename", "key": "rome", "name": "Roma", "formerName": "Rome",
         "parentKey": "south"},
        {**nothing, "line": 4, "change": "move", "key": "oslo", "name": "Oslo", "parentKey": "south",
         "formerParentKey": "north"},
    ]  # fmt: skip
    assert [row["key"] for row in report(admin_key, result["jobId"], "change=move")] == ["oslo"]


def test_what_a_dry_run_has_found_can_be_done_without_another_upload(cast: Cast, admin_key: str) -> None:
    checked = imported(admin_key, file_of(*ROWS), "dryRun=true&keyPrefix=x-&below=oslo")
    assert checked["problems"] == 3
    checked = imported(admin_key, file_of("a,A,", "b,B,a"), "dryRun=true&keyPrefix=x-&below=oslo")
    job_id = started(Api(admin_key).post(f"{IMPORTS}/{checked['jobId']}/apply", {"reason": "reviewed"}))
    work()
    assert counts(Api(admin_key).get(f"{IMPORTS}/{job_id}").json()) == ("COMPLETED", 2, 0, 0, 0, 0)
    assert "acme/north/oslo/x-a/x-b" in paths()
    assert AuditEntry.objects.get(action="organizations.import").reason == "reviewed"
    again = Api(admin_key).post(f"{IMPORTS}/{checked['jobId']}/apply")
    assert (again.status_code, kind_of(again)) == (409, "import-file-gone")


def test_a_dry_run_is_not_applied_to_a_tree_that_has_changed_since(cast: Cast, admin_key: str) -> None:
    checked = imported(admin_key, file_of("rome,Roma,south"), "dryRun=true")
    imported(admin_key, file_of("rome,Rom,south"))
    job_id = started(Api(admin_key).post(f"{IMPORTS}/{checked['jobId']}/apply"))
    work()
    result = Api(admin_key).get(f"{IMPORTS}/{job_id}").json()
    assert (result["status"], get("rome").name) == ("FAILED", "Rom")
    assert result["errorMessage"].startswith("The tree has changed since the dry run")


def test_only_a_dry_run_that_has_found_no_problems_is_applied(cast: Cast, admin_key: str) -> None:
    refused = imported(admin_key, file_of("a,,"), "dryRun=true")["jobId"]
    done = imported(admin_key, file_of("b,B,"))["jobId"]
    waiting = started(upload(admin_key, file_of("a,A,"), "dryRun=true"))
    for job_id in (refused, done, waiting):
        answer = Api(admin_key).post(f"{IMPORTS}/{job_id}/apply")
        assert (answer.status_code, kind_of(answer)) == (409, "import-not-applicable")


def test_a_refused_file_fails_for_good_with_its_problems_in_the_report(cast: Cast, admin_key: str) -> None:
    result = imported(admin_key, "key,name,parent_key\na,Ærø,\nb,,\n".encode("cp1252"))
    assert counts(result) == ("FAILED", None, None, None, None, 2)
    assert "Set the option encoding to windows-1252" in result["refusal"] == result["errorMessage"]
    problems = [(row["line"], row["change"], row["problem"]) for row in report(admin_key, result["jobId"])]
    assert problems == [(2, None, "Byte 3 of the line is not UTF-8."), (3, None, "The name is empty.")]
    assert Job.objects.get().status == "FAILED"


def test_a_dry_run_of_a_refused_file_has_done_its_work(cast: Cast, admin_key: str) -> None:
    assert counts(imported(admin_key, file_of("a,,"), "dryRun=true")) == ("COMPLETED", None, None, None, None, 1)


def test_the_report_as_a_file_runs_no_formulas(cast: Cast, admin_key: str) -> None:
    result = imported(admin_key, file_of("a,=1+1,oslo", "b,B,oslo"))
    answer = Api(admin_key).get(f"{result['reportUrl']}.csv")
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/csv; charset=utf-8")
    rows = [*csv.reader(b"".join(answer.streaming_content).decode("utf-8-sig").splitlines())]
    assert rows[1:] == [
        ["2", "create", "a", "'=1+1", "", "oslo", "", ""],
        ["3", "create", "b", "B", "", "oslo", "", ""],
    ]


def test_the_file_is_deleted_after_the_import_and_kept_after_a_dry_run(cast: Cast, admin_key: str) -> None:
    imported(admin_key, file_of("a,A,"))
    assert not ImportFile.objects.exists()
    imported(admin_key, file_of("b,B,"), "dryRun=true")
    assert ImportFile.objects.exists()


# --- the upload -------------------------------------------------------------------------------------------------------
def test_a_file_comes_as_the_body_or_in_a_form(cast: Cast, admin_key: str) -> None:
    excel = workbook(["key", "name", "parent_key"], ["x", "X", "oslo"])
    excel_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    started(upload(admin_key, excel, **{"Content-Type": excel_type}))
    started(upload(admin_key, file_of("b,B,oslo"), **{"Content-Type": "application/octet-stream"}))
    form = started(upload_form(admin_key, file_of("c,C,oslo")))
    work()
    assert {f"acme/north/oslo/{key}" for key in "xbc"} <= paths()
    assert Api(admin_key).get(f"{IMPORTS}/{form}").json()["fileName"] == "stores.csv"


def test_a_large_file_is_stored_in_parts(cast: Cast, admin_key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.imports.stored_file.PART_BYTES", 100)
    rows = [f"k{number},Name {number},oslo" for number in range(40)]
    started(upload(admin_key, file_of(*rows)))
    assert ImportFile.objects.get().parts.count() > 5
    work()
    assert get("k39").name == "Name 39"


@pytest.mark.parametrize("content_type", ["text/csv", "multipart/form-data; boundary=x"])
def test_a_file_that_is_too_large_is_refused(
    admin_key: str, settings: Any, monkeypatch: pytest.MonkeyPatch, content_type: str
) -> None:
    settings.MAX_IMPORT_BYTES = 1024
    monkeypatch.setattr("jobs.artifacts.upload_parsers.MULTIPART_OVERHEAD_BYTES", 0)
    answer = upload(admin_key, b"x" * 1025, **{"Content-Type": content_type})
    assert (answer.status_code, kind_of(answer)) == (413, "request-too-large")


def test_an_upload_without_one_file_is_refused(admin_key: str) -> None:
    assert wrong_fields(upload(admin_key, b"")) == {"file"}
    assert wrong_fields(upload_form(admin_key, b"x", field="data")) == {"data"}
    assert wrong_fields(upload_form(admin_key, b"x", dryRun="true")) == {"dryRun"}
    answer = upload(admin_key, b"{}", **{"Content-Type": "application/json"})
    assert (answer.status_code, kind_of(answer)) == (415, "unsupported-media-type")
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("delimiter=xx", "delimiter"),
        ("encoding=klingon", "encoding"),
        ("columns=code", "columns"),
        ("keyPrefix=%20x", "keyPrefix"),
        ("dryRun=yes", "dryRun"),
        ("moveBetweenTrees=1", "moveBetweenTrees"),
        ("unknown=1", "unknown"),
    ],
)
def test_an_option_without_a_valid_value_is_named(admin_key: str, query: str, field: str) -> None:
    assert wrong_fields(upload(admin_key, file_of("a,A,"), query)) == {field}


def test_all_options_reach_the_import(cast: Cast, admin_key: str) -> None:
    content = "code;title;boss\nrome;Ærø;\n".encode("cp1252")
    query = (
        "columns=key%3Dcode,name%3Dtitle,parent_key%3Dboss&delimiter=%3B&encoding=windows-1252&keyPrefix=x-&below=oslo"
    )
    assert counts(imported(admin_key, content, query))[:2] == ("COMPLETED", 1)
    assert "acme/north/oslo/x-rome" in paths()
    assert imported(admin_key, file_of("rome,Rome,rival"))["problems"] == 1
    assert imported(admin_key, file_of("rome,Rome,rival"), "moveBetweenTrees=true")["moved"] == 1


@pytest.mark.parametrize("send", [upload, upload_form])
def test_a_repeated_upload_with_the_same_idempotency_key_starts_one_job(cast: Cast, admin_key: str, send: Any) -> None:
    first = upload(admin_key, file_of("a,A,"), Idempotency_Key="once")
    again = upload(admin_key, file_of("a,A,"), Idempotency_Key="once")
    assert (again.json(), again["Idempotent-Replayed"]) == (first.json(), "true")
    other = upload(admin_key, file_of("b,B,"), Idempotency_Key="once")
    assert (other.status_code, kind_of(other)) == (409, "idempotency-conflict")
    assert Job.objects.count() == 1


# --- who may ----------------------------------------------------------------------------------------------------------
def test_a_bound_key_imports_into_its_own_subtree_only(cast: Cast, acme_key: str) -> None:
    before = paths()
    result = imported(acme_key, file_of("rival_store,Mine,acme", "x,X,rival", "y,Y,"))
    assert (result["status"], result["problems"]) == ("FAILED", 3)
    assert paths() == before
    assert counts(imported(acme_key, file_of("z,Z,oslo", "acme,Acme Ltd,"))) == ("COMPLETED", 1, 1, 0, 0, 0)
    assert "acme/north/oslo/z" in paths()


def test_what_a_bound_key_cannot_see_does_not_exist_for_its_import(cast: Cast, acme_key: str) -> None:
    answers = [upload(acme_key, file_of("a,A,"), f"below={key}") for key in ("rival", "nobody", str(cast.rival.pk))]
    assert {(answer.status_code, kind_of(answer)) for answer in answers} == {(404, "organization-not-found")}
    assert len({answer.content for answer in answers}) == 1


def test_the_report_for_a_bound_key_does_not_name_the_organization_above_its_own(cast: Cast) -> None:
    key = AccessKey.objects.create_key(name="north", role=Role.ADMIN, organization=cast.north)[1]
    result = imported(key, file_of("north,Far North,", "x,X,north"))
    lines = Api(key).get(f"{IMPORTS}/{result['jobId']}/report").json()["results"]
    assert [(line["key"], line["change"], line["parentKey"]) for line in lines] == [
        ("north", "rename", None), ("x", "create", "north"),
    ]  # fmt: skip


def test_imports_of_others_do_not_exist(cast: Cast, acme_key: str, admin_key: str) -> None:
    job_id = imported(admin_key, file_of("a,A,"))["jobId"]
    for path in ("", "/report", "/report.csv"):
        assert Api(acme_key).get(f"{IMPORTS}/{job_id}{path}").status_code == 404
    assert Api(acme_key).post(f"{IMPORTS}/{job_id}/apply").status_code == 404
    assert Api(acme_key).get(f"{IMPORTS}/{imported(acme_key, file_of('b,B,oslo'))['jobId']}/report").status_code == 200


def test_a_job_of_another_kind_is_no_import(cast: Cast, admin_key: str) -> None:
    job = Job.objects.create(kind="other", queue="default")
    answer = Api(admin_key).get(f"{IMPORTS}/{job.pk}")
    assert (answer.status_code, kind_of(answer)) == (404, "import-not-found")


def test_only_admins_import(cast: Cast) -> None:
    for role in (Role.READER, Role.EDITOR, Role.OPERATOR):
        key = AccessKey.objects.create_key(name=role, role=role)[1]
        assert upload(key, file_of("a,A,")).status_code == 403


def test_the_audit_log_names_who_asked_for_the_import_and_why(cast: Cast, admin_key: str) -> None:
    started(upload(admin_key, file_of("rome,Roma,south"), X_Reason="new names", X_Request_ID="r-1"))
    work()
    entries = AuditEntry.objects.filter(action__in=["organization.rename", "organizations.import"])
    assert {entry.reason for entry in entries} == {"new names"}
    assert {(entry.actor.split()[-1], entry.via, entry.correlation_id) for entry in entries} == {
        ("admin", "api", "r-1")
    }
    [request] = AuditEntry.objects.filter(action="organizations.import_request")
    assert (request.reason, request.details["dryRun"]) == ("new names", False)


def test_an_organization_has_no_more_files_of_imports_than_the_setting_allows(
    cast: Cast, settings: Settings, acme_key: str, admin_key: str
) -> None:
    settings.UPLOADS_PER_ORGANIZATION = 1
    content = file_of("acme,Acme,", "milan,Milan,south")
    job_id = started(upload(acme_key, content, "dryRun=true"))
    work()
    refused = upload(acme_key, content)
    assert (refused.status_code, kind_of(refused), ImportFile.objects.count()) == (409, "too-many-uploads", 1)
    assert "UPLOADS_PER_ORGANIZATION" in refused.json()["detail"]
    started(upload(admin_key, file_of("oslo,Oslo,south"), "dryRun=true"))
    started(Api(acme_key).post(f"{IMPORTS}/{job_id}/apply"))  # the file is there already
    work()
    started(upload(acme_key, content))  # the file of an import goes with its end
