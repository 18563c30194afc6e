"""A report is a job: its files are artifacts, and who may not read the figures gets neither job nor files."""

from __future__ import annotations

import json
from datetime import timedelta
from importlib import import_module
from threading import Thread
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from conftest import Cast
from flags.definitions.models import Flag
from flags.reports import report_job
from flags.reports.progress import ReportProgress
from flags.reports.report_job import KIND, PICTURE, files_of
from flagsite.core import actor
from jobs.artifacts import uploads
from jobs.artifacts.models import Artifact
from jobs.engine.kinds import kind_named
from jobs.engine.models import Job
from jobs.engine.runner import run_next
from jobs.errors import CancelRequested, InvalidJobArguments
from jobs.notifications.models import Delivery
from jobs.operations.enqueue import enqueue, enqueue_for
from jobs.tasks import enqueue_job
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.audit import audit_log
from orgs.audit.models import AuditEntry
from orgs.errors import RoleNeeded
from orgs.tests.commands import run
from orgs.tests.people import person

pytestmark = pytest.mark.django_db
OPERATOR = Caller("user:olga", Role.OPERATOR)
ADMIN = Caller("user:ada", Role.ADMIN)


def made(organization_id: int | None = None, *, by: str = "command:root", **arguments: Any) -> Job:
    """A report that was made, or was tried to."""
    job = enqueue(kind=KIND, arguments=arguments, organization_id=organization_id, by=by).job
    assert run_next("report")
    job.refresh_from_db()
    return job


def names_of(job: Job) -> list[str]:
    return sorted(Artifact.objects.filter(job_id=job.pk).values_list("name", flat=True))


@pytest.mark.parametrize("report", ["usage", "audit", "performance"])
@pytest.mark.parametrize(("format_", "files"), [("pdf", 1), ("xlsx", 1), ("json", 1), ("csv", 3)])
def test_a_report_of_each_format_is_made(cast: Cast, report: str, format_: str, files: int) -> None:
    job = made(cast.acme.pk, report=report, format=format_, period="month")
    assert job.status == "COMPLETED", job.error_message
    assert job.result["picture"] in names_of(job)
    assert len(job.result["files"]) >= files
    for name in job.result["files"]:
        assert name.startswith(f"{report}-")
        assert name.endswith(f".{format_}")


def test_the_default_is_the_last_month_as_pdf(cast: Cast) -> None:
    job = made(report="usage")
    last = timezone.now().replace(day=1) - timedelta(days=1)
    assert (job.result["from"], job.result["to"]) == (f"{last:%Y-%m}-01", f"{last:%Y-%m-%d}")
    assert job.result["files"] == [f"usage-{last:%Y-%m}.pdf"]


def test_the_figures_of_the_file_are_those_of_the_result(cast: Cast) -> None:
    Flag.objects.create(key="checkout")
    job = made(report="usage", format="json", period="day")
    artifact = Artifact.objects.get(job_id=job.pk, name=job.result["files"][0])
    with uploads.files.opened(artifact.storage_key) as content:
        document = json.load(content)
    assert document["figures"] == job.result["figures"]
    assert [row["flag"] for row in document["tables"]["flags"]] == ["checkout"]
    assert document["organization"] == "All organizations"


def test_an_organization_that_is_gone_is_a_permanent_failure(cast: Cast) -> None:
    job = made(10**9, report="usage")
    assert (job.status, job.error_message) == ("FAILED", "The organization of the report does not exist any more.")


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"report": "sales"},
        {"report": "usage", "from": "2026-01-01"},
        {"report": "usage", "from": "2026-01-02", "to": "2026-01-01"},
        {"report": "usage", "from": "2026-01-01", "to": "2026-01-02", "period": "day"},
        {"report": "usage", "from": "yesterday", "to": "today"},
        {"report": "usage", "format": "docx"},
        {"report": "usage", "mailTo": ["nobody"]},
        {"report": "usage", "mailTo": ["board@example.com"] * 21},
    ],
)
def test_arguments_that_make_no_report_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidJobArguments):
        enqueue(kind=KIND, arguments=arguments)


def test_an_audit_report_needs_an_admin_who_asks_and_who_reads(cast: Cast) -> None:
    with pytest.raises(RoleNeeded):
        enqueue_for(OPERATOR, kind=KIND, arguments={"report": "audit"})
    person("admin", name="ada")
    job = made(by="user:ada", report="audit")
    name = job.result["files"][0]
    assert uploads.find_artifact(ADMIN, job.pk, name).role == Role.ADMIN
    with pytest.raises(RoleNeeded):
        uploads.find_artifact(OPERATOR, job.pk, name)
    assert not uploads.artifacts_of(OPERATOR).exists()


def test_an_audit_report_is_not_made_for_somebody_who_is_no_admin_any_more(cast: Cast) -> None:
    person("operator", name="ada")
    job = made(by="user:ada", report="audit")
    assert job.status == "FAILED"
    assert "may no longer request it" in (job.error_message or "")


def test_a_bound_operator_gets_a_report_on_the_own_subtree(cast: Cast) -> None:
    bound = Caller("key:x", Role.OPERATOR, cast.north.pk)
    job = enqueue_for(bound, kind=KIND, arguments={"report": "usage", "format": "json"}).job
    assert job.organization_id == cast.north.pk
    run_next("report")
    job.refresh_from_db()
    assert job.result["organization"] == "North (north)"
    assert job.result["figures"]["organizations"] == 3


def test_one_report_of_an_organization_runs_at_a_time(cast: Cast) -> None:
    kind = kind_named(KIND)
    assert kind.concurrency_key is not None
    assert kind.key_limit == 1
    assert kind.concurrency_key(7, {}) != kind.concurrency_key(None, {})


def test_a_periodic_task_asks_for_the_reports_of_the_last_month(cast: Cast) -> None:
    import_module("flags.migrations.0017_reports").create_tasks(apps, None)  # other tests may have emptied the table
    tasks = PeriodicTask.objects.filter(name__startswith="report on ", enabled=True)
    assert tasks.count() == 3
    for task in tasks:
        enqueue_job(**json.loads(task.kwargs))
        assert run_next("report")
    assert set(Job.objects.filter(kind=KIND).values_list("status", "trigger")) == {("COMPLETED", "schedule")}


def test_a_report_that_is_cancelled_leaves_no_file(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    def cancelled(self: ReportProgress) -> None:
        raise CancelRequested

    monkeypatch.setattr(ReportProgress, "check", cancelled)
    job = made(report="usage")
    assert job.status == "CANCELLED"
    assert names_of(job) == []


@pytest.mark.django_db(transaction=True)
def test_a_report_sees_one_state_of_the_database(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody adds an entry after the entries were counted and before they are written."""
    today = timezone.now().date().isoformat()

    def add_entry() -> None:
        with actor.acting("worker", actor=actor.SYSTEM):
            audit_log.record("flag.set", "flag:later", by="user:ada")
        connection.close()

    def added_between(*arguments: Any) -> Any:
        other = Thread(target=add_entry)
        other.start()
        other.join()
        return files_of(*arguments)

    monkeypatch.setattr(report_job, "files_of", added_between)
    job = made(report="audit", format="json", **{"from": today, "to": today})
    with uploads.files.opened(Artifact.objects.get(job_id=job.pk, name=job.result["files"][0]).storage_key) as content:
        document = json.load(content)
    subjects = [row["subject"] for row in document["tables"]["entries"]]
    assert AuditEntry.objects.filter(subject="flag:later").exists()
    assert "flag:later" not in subjects
    assert document["figures"]["entries"] == len(subjects)


def test_who_is_named_gets_an_e_mail_with_the_key_figures(cast: Cast, settings: Any) -> None:
    settings.SITE_URL = "https://flags.example.com"
    job = made(cast.acme.pk, report="usage", period="day", mailTo=["board@example.com", "cfo@example.com"])
    deliveries = list(Delivery.objects.order_by("target_shown"))
    assert [row.target_shown for row in deliveries] == ["board@example.com", "cfo@example.com"]
    assert {row.organization_id for row in deliveries} == {cast.acme.pk}
    text = deliveries[0].text
    assert "Organizations: 6" in text
    files = f"https://flags.example.com/v1/queue/jobs/{job.pk}/artifacts/{job.result['files'][0]}"
    page = f"In the admin site: https://flags.example.com/admin/flags/report/{job.pk}/change/"
    assert {files, page} <= set(text.splitlines())


def test_an_attempt_that_finds_the_e_mails_created_creates_no_second_ones(cast: Cast) -> None:
    job = enqueue(kind=KIND, arguments={"report": "usage", "mailTo": ["board@example.com"]}, by="command:root").job
    Job.objects.filter(pk=job.pk).update(checkpoint=report_job.MAILED)
    assert run_next("report")
    job.refresh_from_db()
    assert job.status == "COMPLETED"
    assert not Delivery.objects.exists()


def test_the_command_makes_a_report_and_says_how_to_save_it(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flags.management.commands.report.follow", made_now)
    answer = run("report", "usage", "--format", "csv", "--period", "week", "--organization", "north", "--wait")
    job = Job.objects.get(kind=KIND)
    assert (job.organization_id, job.arguments["period"]) == (cast.north.pk, "week")
    assert answer.lines[0] == f"Job {job.pk} makes the report; its status is COMPLETED."
    names = [PICTURE, *sorted(job.result["files"])]
    assert answer.lines[1:] == [f"bin/manage save_artifact {job.pk} {name}" for name in names]
    assert run("job", str(job.pk)).out.partition("Artifacts:\n")[2].splitlines()[: len(names)] == answer.lines[1:]


def made_now(job: Job) -> Job:
    run_next("report")
    job.refresh_from_db()
    return job
