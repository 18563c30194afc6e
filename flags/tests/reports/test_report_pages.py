"""The admin site's pages of reports: ask for one, watch it being made, look at it, and download it."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from conftest import Cast
from flags.reports.report_job import KIND
from jobs.artifacts.models import Artifact
from jobs.engine.models import Job
from jobs.engine.runner import run_next
from jobs.operations.enqueue import enqueue
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
LIST = "/admin/flags/report/"


def made(organization_id: int | None = None, **arguments: Any) -> Job:
    job = enqueue(kind=KIND, arguments=arguments, organization_id=organization_id, by="command:root").job
    assert run_next("report")
    job.refresh_from_db()
    return job


def status(browser: Client, address: str) -> int:
    answer = browser.get(address)
    if answer.streaming:
        list(answer.streaming_content)  # which closes the file
    return answer.status_code


def ask(browser: Client, **fields: str) -> Any:
    return browser.post(f"{LIST}add/", {f"arguments-{name}": value for name, value in fields.items()})


def test_an_operator_asks_for_a_report_and_downloads_it(cast: Cast) -> None:
    browser = signed_in("operator")
    answer = browser.post(
        f"{LIST}add/",
        {"arguments-report": "usage", "arguments-format": "csv", "organization": "north", "reason": "For the board"},
    )
    job = Job.objects.get(kind=KIND)
    assert answer.headers["Location"] == f"{LIST}{job.pk}/change/"
    assert (job.organization_id, job.reason, job.requested_by) == (cast.north.pk, "For the board", "user:pat")
    page = shown(browser.get(f"{LIST}{job.pk}/change/"))
    assert "Waiting for a worker" in page
    assert f"{LIST}{job.pk}/live/" in page
    run_next("report")
    page = shown(browser.get(f"{LIST}{job.pk}/live/"))
    assert "COMPLETED" in page
    assert f"{LIST}{job.pk}/live/" not in page
    artifact = Artifact.objects.get(job_id=job.pk, name__endswith="-flags.csv")
    address = f"/admin/jobs/artifact/{artifact.pk}/file/"
    assert address in page
    assert b"evaluations" in b"".join(browser.get(address).streaming_content)


def test_the_list_shows_pictures_periods_and_files(cast: Cast) -> None:
    job = made(cast.oslo.pk, report="performance", **{"from": "2026-11-01", "to": "2026-11-02"})
    browser = signed_in("operator")
    page = shown(browser.get(LIST))
    assert "Performance of jobs" in page
    assert "1–2 November 2026" in page
    assert "Acme › North › Oslo" in page
    assert f'src="{LIST}{job.pk}/picture/"' in page
    picture = browser.get(f"{LIST}{job.pk}/picture/")
    assert picture.headers["Content-Type"] == "image/png"
    assert b"".join(picture.streaming_content).startswith(b"\x89PNG")


def test_the_number_of_queries_does_not_grow_with_the_reports(cast: Cast) -> None:
    browser = signed_in("operator")
    counts = []
    for _ in range(2):
        made(cast.oslo.pk, report="usage")
        with CaptureQueriesContext(
            connection,
        ) as queries:
            shown(browser.get(LIST))
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_form_that_makes_no_report_says_why(cast: Cast) -> None:
    browser = signed_in("operator")
    assert "Name a day that is not before" in shown(
        ask(browser, report="usage", **{"from": "2026-01-02", "to": "2026-01-01"})
    )
    assert "this job needs admin" in shown(ask(browser, report="audit"))
    assert not Job.objects.filter(kind=KIND).exists()


def test_the_audit_report_is_for_admins(cast: Cast) -> None:
    job = made(report="audit")
    operator, admin = signed_in("operator", name="olga"), signed_in("admin", name="ada")
    artifact = Artifact.objects.filter(job_id=job.pk).order_by("name").first()
    assert artifact is not None
    addresses = [f"{LIST}{job.pk}/{name}/" for name in ("change", "live", "picture")]
    addresses.append(f"/admin/jobs/artifact/{artifact.pk}/file/")
    assert {status(operator, address) for address in addresses} == {404}
    assert {status(admin, address) for address in addresses} == {200}
    assert f"{LIST}{job.pk}/" not in shown(operator.get(LIST))


def test_a_bound_operator_sees_the_reports_of_the_own_subtree(cast: Cast) -> None:
    own, other, everything = (made(top, report="usage") for top in (cast.oslo.pk, cast.rival.pk, None))
    browser = signed_in("operator", bound_to=cast.north)
    page = shown(browser.get(LIST))
    assert "North › Oslo" in page
    assert "Acme" not in page.partition("result_list")[2]
    assert browser.get(f"{LIST}{own.pk}/change/").status_code == 200
    assert {browser.get(f"{LIST}{job.pk}/picture/").status_code for job in (other, everything)} == {404}


def test_viewers_have_no_reports(cast: Cast) -> None:
    job = made(report="usage")
    browser = signed_in("viewer")
    for address in (LIST, f"{LIST}add/", f"{LIST}{job.pk}/change/", f"{LIST}{job.pk}/picture/"):
        assert browser.get(address).status_code == 403
