"""The page of a job leads to what the job has made or sent, and says in its heading which job it is."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from conftest import Cast
from jobs.batches.creation import Member, create_batch
from jobs.engine.kinds import enqueueable_kinds
from jobs.engine.models import Job
from jobs.engine.runner import run_next
from jobs.notifications import deliveries
from jobs.operations.enqueue import enqueue
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
LIST = "/admin/jobs/job/"


def page_of(job: Job, group: str = "operator") -> str:
    return shown(signed_in(group, name=f"{group}-{job.pk}").get(f"{LIST}{job.pk}/change/"))


def heading(page: str) -> str:
    inside = page.partition("<h1")[2].partition("</h1>")[0]
    return " ".join(re.sub(r"<[^>]*>|chevron_right", " ", inside.partition(">")[2]).split())


def test_a_report_has_a_link_to_its_page_for_who_may_read_it() -> None:
    usage = enqueue(kind="report", arguments={"report": "usage"}).job
    audit = enqueue(kind="report", arguments={"report": "audit"}).job
    assert f"/admin/flags/report/{usage.pk}/change/" in page_of(usage)
    assert "/admin/flags/report/" not in page_of(usage, "viewer").partition("<dl")[2].partition("</dl>")[0]
    assert f"/admin/flags/report/{audit.pk}/change/" in page_of(audit, "admin")
    assert f"/admin/flags/report/{audit.pk}/change/" not in page_of(audit)


def test_the_job_of_a_delivery_leads_to_the_delivery_and_counts_no_organizations() -> None:
    delivery = deliveries.create(channel="email", target="ann@example.com", subject="s", text="t")
    assert run_next("notification")
    job = Job.objects.get(kind="delivery")
    page = page_of(job)
    assert f"/admin/jobs/delivery/{delivery.pk}/change/" in page
    assert "had the value already" not in page
    assert f"/admin/jobs/delivery/{delivery.pk}/change/" not in page_of(job, "viewer")


def test_a_job_that_has_created_a_batch_leads_to_it() -> None:
    batch = create_batch("figures", [Member(kind="statistic", arguments={"name": "adoption"})]).batch
    job = enqueue(kind="statistics").job
    Job.objects.filter(pk=job.pk).update(result={"batchId": batch.pk})
    assert f"/admin/jobs/batch/{batch.pk}/change/" in page_of(job)


def test_a_job_for_later_names_the_day_and_shows_its_arguments() -> None:
    at = timezone.now() + timedelta(days=40)
    page = page_of(enqueue(kind="cleanup", arguments={"olderThanDays": 77}, run_at=at).job)
    assert f"due {at:%Y-%m-%d %H:%M:%S}" in page
    assert "&quot;olderThanDays&quot;: 77" in page.partition('id="job-arguments"')[2]


def test_each_page_of_our_own_names_itself_in_its_heading(cast: Cast) -> None:
    job = enqueue(kind="cleanup").job
    batch = create_batch("night work", []).batch
    client = signed_in("admin")
    for address, words in (
        (f"{LIST}{job.pk}/change/", f"Jobs Job {job.pk}"),
        (f"{LIST}enqueue/?kind=report", "Jobs Enqueue a job: report"),
        (f"/admin/jobs/batch/{batch.pk}/change/", f"Jobs Batches Batch {batch.pk}: night work"),
        ("/admin/jobs/queue/default/pause/", "Jobs Queues Pause queue default"),
        ("/admin/jobs/queue/default/change/", "Jobs Queues default"),
        ("/admin/flags/statistic/", "Flags Statistics"),
        (LIST, "Jobs"),
        ("/admin/", "Overview"),
    ):
        assert heading(shown(client.get(address))) == words, address


def test_each_argument_of_each_kind_has_a_name_and_an_explanation_for_people() -> None:
    client = signed_in("admin")
    for kind in enqueueable_kinds():
        if "-of-a-test" in kind.name or not (kind.arguments or {}).get("properties"):
            continue
        for name, part in (kind.arguments or {})["properties"].items():
            assert part.get("title", "")[:1].isupper(), (kind.name, name)
            assert part.get("description"), (kind.name, name)
        fields = shown(client.get(f"{LIST}enqueue/?kind={kind.name}"))
        assert not re.search(r"<textarea[^>]*>\s*null\s*</textarea>", fields), kind.name


def test_work_without_a_flag_is_named_by_its_kind() -> None:
    page = page_of(enqueue(kind="recalculation").job)
    assert "<dt>Work</dt><dd>recalculation</dd>" in page
