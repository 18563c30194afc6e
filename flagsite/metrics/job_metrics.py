"""The figures about jobs as Prometheus metrics. Each web server returns those of the whole installation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from jobs.counting.hourly_metrics import BOUNDS
from jobs.counting.models import AttemptOutcome
from jobs.metrics.engine_metrics import AttemptCount, EndedAttempts, EngineMetrics, Times

LIMITS = [*(f"{bound:g}" for bound in BOUNDS), "+Inf"]
BY_KIND = ["queue", "kind"]
BY_OUTCOME = [*BY_KIND, "outcome"]
BY_RETRY = [*BY_OUTCOME, "trigger", "retry"]
BATCH_OUTCOMES = ("succeeded", "partial", "failed", "cancelled")
NOT_COUNTED = "unknown"
"""The trigger of attempts that ended before Flagsite counted attempts by trigger."""


def metrics(figures: EngineMetrics) -> Iterator[Metric]:
    """Return every metric with all its samples."""
    yield _attempts([line for line in figures.attempts if line.outcome != AttemptOutcome.MANUAL_RETRY])
    yield from _jobs([line for line in figures.ended if line.outcome != AttemptOutcome.MANUAL_RETRY])
    yield _backoff([line for line in figures.ended if line.outcome != AttemptOutcome.MANUAL_RETRY])
    yield _retries(figures.ended)
    yield from _organizations(figures)
    yield from _queues(figures)
    yield from _workers(figures)
    yield from _batches(figures)
    yield from _deliveries(figures)
    yield from _engine(figures)


def _attempts(counts: Sequence[AttemptCount]) -> Metric:
    attempts = CounterMetricFamily(
        "flagsite_job_attempts", "Attempts that ended, by outcome, by trigger (request: a first attempt; automatic or "
        "manual: a retry) and by number of the automatic retry.", labels=BY_RETRY,
    )  # fmt: skip
    for line in counts:
        labels = [line.queue, line.kind, line.outcome, line.trigger or NOT_COUNTED, str(line.retry)]
        attempts.add_metric(labels, line.count)
    return attempts


def _backoff(ended: Sequence[EndedAttempts]) -> Metric:
    backoff = HistogramMetricFamily("flagsite_job_backoff_seconds", "For how long the automatic retries that ended had "
                                    "to wait after the failure before them.", labels=BY_OUTCOME)  # fmt: skip
    for line in ended:
        _add(backoff, [line.queue, line.kind, line.outcome], line.backoff)
    return backoff


def _jobs(ended: Sequence[EndedAttempts]) -> Iterator[Metric]:
    chains = CounterMetricFamily(
        "flagsite_jobs", "Chains that ended, by outcome. After a manual retry a chain ends once more.",
        labels=BY_OUTCOME,
    )  # fmt: skip
    reopened = CounterMetricFamily(
        "flagsite_jobs_reopened", "Chains that ended with this outcome, and that a person then retried.",
        labels=BY_OUTCOME,
    )  # fmt: skip
    rescued = CounterMetricFamily("flagsite_jobs_rescued", "Attempts that ended because their worker was dead.",
                                  labels=BY_KIND)  # fmt: skip
    waiting = HistogramMetricFamily("flagsite_job_waiting_seconds", "From when an attempt was due to its start.",
                                    labels=BY_OUTCOME)  # fmt: skip
    processing = HistogramMetricFamily("flagsite_job_processing_seconds", "From the start of an attempt to its end.",
                                       labels=BY_OUTCOME)  # fmt: skip
    chain = HistogramMetricFamily("flagsite_job_chain_seconds", "From the request to the end of the last attempt.",
                                  labels=BY_OUTCOME)  # fmt: skip
    lost: dict[tuple[str, str], int] = {}
    for line in ended:
        labels = [line.queue, line.kind, line.outcome]
        if line.outcome != AttemptOutcome.RETRIED:
            chains.add_metric(labels, line.chains)
            reopened.add_metric(labels, line.reopened)
            _add(chain, labels, line.chain)
        lost[line.queue, line.kind] = lost.get((line.queue, line.kind), 0) + line.rescued
        _add(waiting, labels, line.waiting)
        _add(processing, labels, line.processing)
    for kind, count in lost.items():
        rescued.add_metric(list(kind), count)
    yield from (chains, reopened, rescued, waiting, processing, chain)


def _retries(ended: Sequence[EndedAttempts]) -> Metric:
    retries = CounterMetricFamily("flagsite_job_retries", "Retries by trigger: automatic or manual.",
                                  labels=[*BY_KIND, "trigger"])  # fmt: skip
    triggers = {AttemptOutcome.RETRIED: "automatic", AttemptOutcome.MANUAL_RETRY: "manual"}
    for line in ended:
        if line.outcome in triggers:
            retries.add_metric([line.queue, line.kind, triggers[AttemptOutcome(line.outcome)]], line.count)
    return retries


def _organizations(figures: EngineMetrics) -> Iterator[Metric]:
    written = CounterMetricFamily("flagsite_organizations_written", "Organizations that jobs have processed, including "
                                  "running jobs.", labels=BY_KIND)  # fmt: skip
    failed = CounterMetricFamily("flagsite_organizations_failed", "Organizations that failed in jobs.", labels=BY_KIND)
    superseded = CounterMetricFamily("flagsite_organizations_superseded", "Processed, but they had a newer value.",
                                     labels=BY_KIND)  # fmt: skip
    for line in figures.organizations:
        labels = [line.queue, line.kind]
        written.add_metric(labels, line.written)
        failed.add_metric(labels, line.failed)
        superseded.add_metric(labels, line.superseded)
    yield from (written, failed, superseded)


def _queues(figures: EngineMetrics) -> Iterator[Metric]:
    jobs = GaugeMetricFamily("flagsite_queue_jobs", "Open jobs by state: due, later (waiting for a retry), running.",
                             labels=["queue", "state"])  # fmt: skip
    oldest = GaugeMetricFamily("flagsite_queue_oldest_seconds", "How long the oldest due job has waited.",
                               labels=["queue"])  # fmt: skip
    paused = GaugeMetricFamily("flagsite_queue_paused", "1 while the queue is paused.", labels=["queue"])
    for line in figures.queues:
        for state in ("due", "later", "running"):
            jobs.add_metric([line.queue, state], getattr(line, state))
        oldest.add_metric([line.queue], line.oldest)
        paused.add_metric([line.queue], int(line.is_paused))
    yield from (jobs, oldest, paused)


def _workers(figures: EngineMetrics) -> Iterator[Metric]:
    workers = figures.workers
    yield GaugeMetricFamily("flagsite_workers", "Workers that are alive.", value=workers.workers)
    yield GaugeMetricFamily(
        "flagsite_worker_slots", "Jobs that these workers can run at the same time.", value=workers.slots
    )
    yield GaugeMetricFamily("flagsite_worker_slots_busy", "Jobs that are running.", value=workers.busy)


def _batches(figures: EngineMetrics) -> Iterator[Metric]:
    yield GaugeMetricFamily("flagsite_batches_open", "Batches that have not ended.", value=figures.batches.count)
    yield GaugeMetricFamily("flagsite_batch_oldest_open_seconds", "How long the oldest open batch has been open.",
                            value=figures.batches.oldest)  # fmt: skip
    ended = CounterMetricFamily("flagsite_batches", "Batches that ended, by outcome. After a reopening a batch ends "
                                "once more.", labels=["outcome"])  # fmt: skip
    for outcome in BATCH_OUTCOMES:
        ended.add_metric([outcome], figures.counters.get(f"batches_{outcome}", 0))
    yield ended


def _deliveries(figures: EngineMetrics) -> Iterator[Metric]:
    deliveries = GaugeMetricFamily("flagsite_deliveries_open", "Deliveries by state: gathering (waits for further "
                                   "events), pending (waits or is tried again).",
                                   labels=["channel", "state"])  # fmt: skip
    oldest = GaugeMetricFamily("flagsite_delivery_oldest_seconds", "How long the oldest pending delivery has waited.",
                               labels=["channel"])  # fmt: skip
    outbox = GaugeMetricFamily("flagsite_outbox_deliveries", "Deliveries that were not sent, because their channel has "
                               "no settings.", labels=["channel"])  # fmt: skip
    for line in figures.deliveries:
        for state in ("gathering", "pending"):
            deliveries.add_metric([line.channel, state], getattr(line, state))
        oldest.add_metric([line.channel], line.oldest)
        outbox.add_metric([line.channel], line.outbox)
    yield from (deliveries, oldest, outbox)


def _engine(figures: EngineMetrics) -> Iterator[Metric]:
    yield CounterMetricFamily("flagsite_sweeps", "Runs of the rescuer.",
                              value=figures.counters.get("sweeps", 0))  # fmt: skip
    yield CounterMetricFamily("flagsite_wake_ups_repeated", "Wake-ups that the rescuer sent again.",
                              value=figures.counters.get("wake_ups_repeated", 0))  # fmt: skip
    schedules = CounterMetricFamily("flagsite_schedules", "Tries to apply a scheduled change: applied, delayed "
                                    "until a retry, failed.", labels=["outcome"])  # fmt: skip
    for outcome in ("applied", "delayed", "failed"):
        schedules.add_metric([outcome], figures.counters.get(f"schedules_{outcome}", 0))
    yield schedules
    if figures.seconds_since_rescuer_run is not None:
        yield GaugeMetricFamily(
            "flagsite_last_sweep_seconds",
            "Seconds since the last run of the rescuer.",
            value=figures.seconds_since_rescuer_run,
        )


def _add(histogram: HistogramMetricFamily, labels: list[str], times: Times) -> None:
    counts = [float(count) for count in accumulate(times.buckets)]
    histogram.add_metric(labels, list(zip(LIMITS, counts, strict=True)), times.seconds)
