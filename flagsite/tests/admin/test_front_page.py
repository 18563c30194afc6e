"""The front page: figures that link to the lists behind them, and nothing of others for a person who is bound."""

from __future__ import annotations

import re

import pytest
from django.db.models import F
from django.test import Client

from conftest import Cast
from jobs.counting.models import HourlyMetrics
from jobs.engine import claiming, lifecycle
from jobs.engine.models import Job
from jobs.engine.worker_model import Worker
from jobs.operations import job_operations, queue_operations
from jobs.tests.engine_steps import KIND, LONG_AGO, changed, claimed, lease_of, waiting
from orgs.tests.people import shown, signed_in
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db


def job_of(organization: Organization) -> int:
    """A job of the organization that has COMPLETED."""
    job = claimed(organization_id=organization.pk)
    lifecycle.complete(job_id=job.pk, lease=lease_of(job))
    return job.pk


def figure(page: str, status: str) -> str:
    """What the front page says of a status."""
    found = re.search(rf'id="status-{status}".*?fs-figure">([^<]*)<', page, re.DOTALL)
    assert found is not None
    return found[1]


def test_every_link_of_the_front_page_leads_somewhere(cast: Cast) -> None:
    job_of(cast.oslo)
    held = claimed(organization_id=cast.oslo.pk, worker="host:1:abc")
    Worker.objects.create(token="abc", host="host", pid=1, queues=["default"])
    client = signed_in("viewer")
    page = shown(client.get("/admin/overview/"))
    links = set(re.findall(r'href="([^"]*)"', page.replace("&amp;", "&")))
    assert f"/admin/jobs/job/{held.pk}/change/" in links
    assert any("status__exact=COMPLETED" in link for link in links)
    assert any("trigger__exact=manual" in link for link in links)
    assert sum("?ended=" in link for link in links) == 24  # one for each hour of the chart
    assert {link: client.get(link).status_code for link in links} == dict.fromkeys(links, 200)


def fail(job: Job, *, permanent: bool) -> Job:
    """Have the attempt fail; returns the latest of all attempts, which is its retry if one follows."""
    lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no", permanent=permanent)
    return Job.objects.latest("id")


def run(job: Job) -> Job:
    """The attempt, claimed by a worker."""
    changed(job, run_at=LONG_AGO)
    claimed_one = claiming.claim(queue="default", worker="w")
    assert claimed_one == job
    return claimed_one


def a_day(cast: Cast) -> None:
    """Attempts that ended in each way, chains that went on after an end, and some that are older or still open."""
    place = {"organization_id": cast.oslo.pk}
    for _ in range(3):
        old = job_of(cast.oslo)
    HourlyMetrics.objects.filter(outcome="completed").update(count=F("count") - 1, chains=F("chains") - 1)
    changed(Job.objects.get(pk=old), completed_at=LONG_AGO, created_at=LONG_AGO)
    retry = fail(claimed(**place), permanent=False)  # fails, is retried, and completes
    lifecycle.complete(job_id=retry.pk, lease=lease_of(run(retry)))
    fail(claimed(**place), permanent=True)
    retry = fail(claimed(**place), permanent=False)  # fails, and its retry is cancelled
    job_operations.cancel(job_id=retry.pk, by="olga")
    some = claimed(**place, failed=1)  # completes with failures, is retried by a person, and completes
    lifecycle.complete(job_id=some.pk, lease=lease_of(some))
    again = run(job_operations.retry(job_id=some.pk, by="olga"))
    lifecycle.complete(job_id=again.pk, lease=lease_of(again))
    retry = fail(claimed(**place), permanent=False)  # fails, fails again for good, is retried by a person and waits
    fail(run(retry), permanent=True)
    job_operations.retry(job_id=retry.pk, by="olga")


def listed(client: Client, link: str) -> int:
    """How many jobs the list has that a link leads to."""
    return len(set(re.findall(r'data-job="([0-9]+)"', shown(client.get(link)))))


def test_each_figure_of_the_day_leads_to_as_many_jobs_as_it_says(cast: Cast) -> None:
    a_day(cast)
    for client in (signed_in("viewer"), signed_in("viewer", name="nora", bound_to=cast.north)):
        page = shown(client.get("/admin/overview/")).replace("&amp;", "&")
        totals = re.findall(r'id="total-(\w+)" href="([^"]*)">.*?<strong>(\d+)<', page)
        assert {name: int(count) for name, _, count in totals} == {
            "completed": 5, "failed": 2, "retried": 3, "cancelled": 1,
        }  # fmt: skip
        assert {name: listed(client, link) for name, link, _ in totals} == {
            name: int(count) for name, _, count in totals
        }
        rates = re.findall(r'id="rate-\d" href="([^"]*)">.*?fs-note">([^<]*)<', page, re.DOTALL)
        said = [int(found[0]) if (found := re.findall(r"^[0-9]+", note)) else None for _, note in rates]
        assert said[:4] == [4, 2, 5, 2]
        assert [listed(client, link) for link, _ in rates] == [*said[:4], 5, 5]


def test_the_start_page_leads_to_the_front_page_which_offers_no_other_site() -> None:
    client = signed_in("viewer")
    assert 'href="/admin/"' in shown(client.get("/"))
    page = shown(client.get("/admin/"))
    assert 'id="day-title"' in page
    assert "View site" not in page
    assert "Return to site" not in shown(Client().get("/admin/login/"))


def test_the_front_page_shows_what_is_there(cast: Cast) -> None:
    job_of(cast.oslo)
    job_of(cast.rival)
    waiting(organization_id=cast.oslo.pk)
    queue_operations.pause("default", by="user:olga", reason="<b>the database moves</b>")
    page = shown(signed_in("viewer").get("/admin/"))
    assert (figure(page, "COMPLETED"), figure(page, "PENDING"), figure(page, "FAILED")) == ("2", "1", "0")
    assert "2 of 2 jobs that ended" in page
    assert "estimated from the numbers of jobs in 14 ranges" in page
    assert "user:olga: “&lt;b&gt;the database moves&lt;/b&gt;”" in page


def test_a_bound_person_sees_figures_of_their_subtree_and_nothing_of_queues_and_workers(cast: Cast) -> None:
    job_of(cast.oslo)
    job_of(cast.rival)
    claimed(organization_id=cast.rival.pk, worker="host:1:abc")
    Worker.objects.create(token="abc", host="a-host-of-ours", pid=1, queues=["default"])
    client = signed_in("admin", bound_to=cast.north)
    for path in ("/admin/", "/admin/overview/"):
        page = shown(client.get(path))
        assert (figure(page, "COMPLETED"), figure(page, "IN_PROGRESS")) == ("1", "0")
        assert "The jobs of <strong>North</strong>" in page
        assert "a-host-of-ours" not in page
        assert "queue-table" not in page
        assert "Rival" not in page


@pytest.mark.parametrize("bound", [False, True])
def test_the_front_page_takes_as_many_queries_for_many_jobs_as_for_few(
    cast: Cast, bound: bool, django_assert_max_num_queries: object
) -> None:
    client = signed_in("viewer", bound_to=cast.north if bound else None)
    counts = []
    for size in (5, 10):
        with django_assert_max_num_queries(20) as queries:
            shown(client.get("/admin/overview/"))
        counts.append(len(queries))
        for number in range(size):
            job_of(cast.oslo)
            claimed(organization_id=cast.oslo.pk, worker=f"host:1:w{number}")
            Worker.objects.get_or_create(token=f"w{number}", defaults={"host": "host", "pid": number})
    assert counts[0] == counts[1]
    assert KIND in shown(client.get("/admin/overview/")) or bound


def test_the_front_page_names_two_jobs_of_each_worker_and_the_workers_page_all(cast: Cast) -> None:
    Worker.objects.create(token="abc", host="host", pid=1, queues=["default"])
    held = [claimed(organization_id=cast.oslo.pk, worker="host:1:abc").pk for _ in range(4)]
    client = signed_in("viewer")
    front, all_of_them = shown(client.get("/admin/overview/")), shown(client.get("/admin/jobs/worker/"))
    assert [f'id="running-job-{job}"' in front for job in held] == [True, True, False, False]
    assert "and 2 more" in front
    assert all(f'id="running-job-{job}"' in all_of_them for job in held)
