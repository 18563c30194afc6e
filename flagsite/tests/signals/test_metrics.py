"""What /metrics tells, and to whom."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError, transaction
from django.db.models.functions import Now

from conftest import Cast
from flagsite.metrics.job_metrics import BATCH_OUTCOMES
from flagsite.tests.signals.scraping import Sample, names, samples_of, total
from jobs.batches.models import Batch
from jobs.counting import hourly_metrics
from jobs.counting.models import HourlyMetrics
from jobs.engine import claiming, lifecycle, rescuer, runner
from jobs.engine.models import Job, Queue
from jobs.engine.run import Run
from jobs.metrics import engine_metrics, probe_job
from jobs.notifications.models import Delivery
from jobs.operations import cleanup, job_operations, queue_operations
from jobs.tests.batches import batch_steps
from jobs.tests.engine_steps import KIND, LONG_AGO, claimed, doing, lease_of, make_due, waiting
from orgs.tests.api import Api, kind_of
from orgs.tests.failing_queries import failing_queries

pytestmark = pytest.mark.django_db(transaction=True)


def scraped(key: str) -> dict[Sample, float]:
    response = Api(key).get("/metrics")
    assert response.status_code == 200, response.content
    assert response["Content-Type"].startswith("text/plain; version=")
    return samples_of(response.content.decode())


def write(count: int) -> Any:
    def work(run: Run) -> None:
        with transaction.atomic():
            run.record_progress(processed=count)

    return work


def test_a_key_that_sees_everything_may_read_them_and_a_bound_one_may_not(reader_key: str, acme_key: str) -> None:
    assert total(scraped(reader_key), "flagsite_database_up") == 1
    refused = Api(acme_key).get("/metrics")
    assert (refused.status_code, kind_of(refused)) == (403, "not-permitted")


def test_the_scrapers_token_opens_metrics_and_nothing_else(db: None, settings: Any) -> None:
    settings.METRICS_TOKEN = "t" * 20
    assert total(scraped("t" * 20), "flagsite_database_up") == 1
    assert Api("t" * 19).get("/metrics").status_code == 401
    assert Api("t" * 20).get("/organizations").status_code == 401
    settings.METRICS_TOKEN = ""
    assert Api("t" * 20).get("/metrics").status_code == 401
    assert Api("").get("/metrics").status_code == 401


def test_attempts_jobs_and_retries_are_counted_by_queue_kind_and_outcome(reader_key: str) -> None:
    def fail(run: Run) -> None:
        raise ValueError("broken")

    waiting()
    runner.run_next("default")
    Queue.objects.update(max_retries=1)
    broken = waiting()
    with doing(fail):
        runner.run_next("default")
        make_due()
        runner.run_next("default")
    job_operations.retry(job_id=broken.pk, by="alice")
    samples = scraped(reader_key)
    of = {"queue": "default", "kind": KIND}
    attempts = {
        outcome: total(samples, "flagsite_job_attempts_total", outcome=outcome, **of)
        for outcome in ("completed", "retried", "failed", "manual_retry")
    }
    assert attempts == {"completed": 1, "retried": 1, "failed": 1, "manual_retry": 0}
    assert total(samples, "flagsite_jobs_total", **of) == 2
    assert total(samples, "flagsite_job_retries_total", trigger="automatic", **of) == 1
    assert total(samples, "flagsite_job_retries_total", trigger="manual", **of) == 1
    assert total(samples, "flagsite_job_processing_seconds_count", **of) == 3
    assert total(samples, "flagsite_job_processing_seconds_bucket", le="+Inf", **of) == 3
    assert total(samples, "flagsite_job_waiting_seconds_count", **of) == 3
    assert total(samples, "flagsite_job_chain_seconds_count", **of) == 2


def test_attempts_are_told_apart_by_their_retry_and_its_backoff(reader_key: str) -> None:
    def fail(run: Run) -> None:
        raise ValueError("broken")

    Queue.objects.update(max_retries=2)
    broken = waiting()
    with doing(fail):
        for _ in range(3):
            make_due_by_waiting()
            runner.run_next("default")
    job_operations.retry(job_id=broken.pk, by="alice")
    runner.run_next("default")
    samples = scraped(reader_key)
    attempts = {
        (trigger, retry, outcome): total(
            samples, "flagsite_job_attempts_total", kind=KIND, trigger=trigger, retry=retry, outcome=outcome
        )
        for trigger, retry, outcome in (
            ("request", "0", "retried"), ("automatic", "1", "retried"), ("automatic", "2", "failed"),
            ("manual", "0", "completed"),
        )
    }  # fmt: skip
    assert set(attempts.values()) == {1}
    assert total(samples, "flagsite_job_attempts_total", kind=KIND) == 4
    backoff = {
        (outcome, le): total(samples, "flagsite_job_backoff_seconds_bucket", kind=KIND, outcome=outcome, le=le)
        for outcome, le in (
            ("retried", "1"),
            ("retried", "2.5"),
            ("failed", "2.5"),
            ("failed", "5"),
            ("completed", "+Inf"),
        )
    }
    assert list(backoff.values()) == [0, 1, 0, 1, 0]  # 2 and 4 seconds
    assert total(samples, "flagsite_jobs_reopened_total", kind=KIND, outcome="failed") == 1


def make_due_by_waiting() -> None:
    """Let the time come for the retry, as if it had waited for its whole backoff."""
    retries = Job.objects.filter(status="PENDING", parent_job__isnull=False)
    for job in retries:
        wait = job.run_at - job.created_at
        retries.filter(pk=job.pk).update(run_at=Now(), created_at=Now() - wait)


def test_organizations_count_while_the_job_runs_and_never_go_back(reader_key: str) -> None:
    def written() -> float:
        return total(scraped(reader_key), "flagsite_organizations_written_total", kind=KIND)

    job = claimed()
    lease = lease_of(job)
    seen = [written()]
    for _ in range(2):
        with transaction.atomic():
            lifecycle.record_progress(job_id=job.pk, lease=lease, processed=5)
        seen.append(written())
    lifecycle.release(job_id=job.pk, lease=lease)
    seen.append(written())
    again = claiming.claim(queue="default", worker="other")
    assert again is not None
    lifecycle.complete(job_id=job.pk, lease=lease_of(again))
    seen.append(written())
    Job.objects.update(created_at=LONG_AGO, completed_at=LONG_AGO)
    cleanup.request()
    runner.run_next("cleanup")
    assert not Job.objects.filter(pk=job.pk).exists()
    seen.append(written())
    assert seen == [0, 5, 10, 10, 10, 10]


def test_no_counter_goes_back_by_a_clean_up_that_folds_old_tallies(reader_key: str) -> None:
    with doing(write(3)):
        for _ in range(4):
            waiting()
            runner.run_next("default")
    ids = list(HourlyMetrics.objects.values_list("pk", flat=True))
    HourlyMetrics.objects.filter(pk__in=ids).update(hour="2001-05-17T10:00:00Z")
    with doing(write(4)):
        waiting()
        runner.run_next("default")
    HourlyMetrics.objects.exclude(hour__year=2001).update(hour="2001-05-18T10:00:00Z")
    before = scraped(reader_key)
    hourly_metrics.merge_old_hours()
    assert HourlyMetrics.objects.get().hour.isoformat() == "2001-05-01T00:00:00+00:00"
    hourly_metrics.merge_old_hours()
    after = scraped(reader_key)
    grown = {key for key in before if key[0].startswith("flagsite_job") and not key[0].endswith("_seconds")}
    assert {key: after[key] for key in grown} == pytest.approx({key: before[key] for key in grown})
    assert total(after, "flagsite_organizations_written_total", kind=KIND) == 16


def test_a_job_that_was_handed_back_has_no_negative_wait(reader_key: str) -> None:
    job = claimed()
    lifecycle.release(job_id=job.pk, lease=lease_of(job))
    Job.objects.filter(pk=job.pk).update(started_at=LONG_AGO)
    again = claiming.claim(queue="default", worker="other")
    assert again is not None
    lifecycle.complete(job_id=job.pk, lease=lease_of(again))
    samples = scraped(reader_key)
    assert total(samples, "flagsite_job_waiting_seconds_sum", kind=KIND) == 0
    assert total(samples, "flagsite_job_waiting_seconds_count", kind=KIND) == 1


def test_queues_workers_and_sweeps_are_told(reader_key: str) -> None:
    waiting(run_at="2001-01-01T00:00:00Z")
    queue_operations.pause("propagation", by="alice")
    rescuer.rescue_and_wake()
    samples = scraped(reader_key)
    assert total(samples, "flagsite_queue_jobs", queue="default", state="due") == 1
    assert total(samples, "flagsite_queue_oldest_seconds", queue="default") > 10**8
    assert total(samples, "flagsite_queue_paused", queue="propagation") == 1
    assert total(samples, "flagsite_queue_paused", queue="default") == 0
    assert total(samples, "flagsite_sweeps_total") == 1
    assert total(samples, "flagsite_wake_ups_repeated_total") == 1
    assert total(samples, "flagsite_workers") == 0
    assert "flagsite_last_sweep_seconds" in names(samples)


def test_what_was_rescued_is_counted(reader_key: str) -> None:
    job = claimed(lease_expires_at=LONG_AGO)
    lifecycle.rescue(job_id=job.pk)
    assert total(scraped(reader_key), "flagsite_jobs_rescued_total", kind=KIND) == 1


def test_requests_are_counted_by_the_pattern_of_their_address(cast: Cast, admin_key: str) -> None:
    def counted(**labels: str) -> float:
        return total(scraped(admin_key), "flagsite_http_request_seconds_count", **labels)

    known = {"route": "organizations/<organization:organization>", "method": "GET"}
    before, unknown = counted(**known), counted(route="unknown", status="404")
    for number in (cast.acme.pk, cast.rival.pk):
        Api(admin_key).get(f"/organizations/{number}")
    Api(admin_key).get("/organizations/999999")
    Api().get("/no/such/address/at/all")
    Api().send("PROPFIND", "/livez")
    assert counted(**known, status="200") >= 2
    assert counted(**known) == before + 3
    assert counted(route="unknown", status="404") == unknown + 1
    assert counted(method="other", route="livez", status="405") >= 1
    assert not [labels for _, labels in scraped(admin_key) if any("such" in value for _, value in labels)]


def test_while_the_database_is_away_the_token_still_reads_the_requests(db: None, settings: Any) -> None:
    settings.METRICS_TOKEN = "t" * 20
    Api().get("/livez")
    with failing_queries(OperationalError("gone")):
        samples = scraped("t" * 20)
    assert total(samples, "flagsite_database_up") == 0
    assert "flagsite_http_request_seconds_count" in names(samples)
    assert "flagsite_job_attempts_total" not in names(samples)


def test_the_figures_cost_one_statement(db: None, django_assert_num_queries: Any) -> None:
    waiting()
    with django_assert_num_queries(1):
        engine_metrics.read()


def test_canaries_leave_one_row_and_no_figures(reader_key: str) -> None:
    for _ in range(3):
        assert probe_job.send_probe() is not None
        runner.run_next("default")
    assert Job.objects.count() == 1
    assert not HourlyMetrics.objects.exists()
    age = probe_job.seconds_since_probe()
    assert age is not None
    assert age < 60
    assert "flagsite_canary_seconds" in names(scraped(reader_key))


def test_no_second_canary_is_sent_while_one_waits() -> None:
    assert probe_job.send_probe() is not None
    assert probe_job.send_probe() is None
    assert Job.objects.count() == 1


def test_batches_are_told_while_they_are_open_and_when_they_have_ended(reader_key: str) -> None:
    batch = batch_steps.batch_of(2)
    Batch.objects.filter(pk=batch.pk).update(created_at=LONG_AGO)
    samples = scraped(reader_key)
    assert total(samples, "flagsite_batches_open") == 1
    assert total(samples, "flagsite_batch_oldest_open_seconds") > 10**8
    batch_steps.complete(batch_steps.claim())
    batch_steps.fail(batch_steps.claim())
    batch_steps.batch_of(1)
    batch_steps.complete(batch_steps.claim())
    samples = scraped(reader_key)
    assert total(samples, "flagsite_batches_open") == total(samples, "flagsite_batch_oldest_open_seconds") == 0
    counts = {outcome: total(samples, "flagsite_batches_total", outcome=outcome) for outcome in BATCH_OUTCOMES}
    assert counts == {"succeeded": 1, "partial": 1, "failed": 0, "cancelled": 0}


def test_the_end_of_a_batch_that_is_rolled_back_is_not_counted(reader_key: str) -> None:
    batch_steps.batch_of(1)
    job = batch_steps.claim()
    with pytest.raises(RuntimeError), transaction.atomic():
        batch_steps.complete(job)
        raise RuntimeError
    assert total(scraped(reader_key), "flagsite_batches_total") == 0


def test_open_deliveries_and_the_outbox_are_told_by_channel(reader_key: str) -> None:
    states = {"GATHERING": 1, "PENDING": 2, "OUTBOX": 3, "SENT": 4, "FAILED": 5}
    Delivery.objects.bulk_create(
        Delivery(channel="email", message_id=f"{state}-{number}", state=state)
        for state, count in states.items()
        for number in range(count)
    )
    Delivery.objects.create(channel="push", message_id="push", state="OUTBOX")
    Delivery.objects.filter(message_id__in=("PENDING-0", "OUTBOX-0")).update(created_at=LONG_AGO)
    samples = scraped(reader_key)
    assert total(samples, "flagsite_deliveries_open", channel="email", state="gathering") == 1
    assert total(samples, "flagsite_deliveries_open", channel="email", state="pending") == 2
    assert total(samples, "flagsite_outbox_deliveries", channel="email") == 3
    assert total(samples, "flagsite_outbox_deliveries", channel="push") == 1
    assert total(samples, "flagsite_delivery_oldest_seconds", channel="email") > 10**8
    assert total(samples, "flagsite_delivery_oldest_seconds", channel="push") == 0
