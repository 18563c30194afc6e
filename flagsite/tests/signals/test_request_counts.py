"""How requests are counted within a process."""

from __future__ import annotations

import random
import threading

from prometheus_client import CollectorRegistry, Histogram

from flagsite.core.adapters.prometheus import BatchHistogram
from flagsite.metrics import requests

BUCKETS = (0.1, 0.5, 1.0)


def samples(histogram: Histogram) -> list[tuple[str, dict[str, str], float]]:
    (metric,) = histogram.collect()
    return [(one.name, one.labels, one.value) for one in metric.samples if not one.name.endswith("_created")]


def test_many_written_together_count_as_each_by_itself() -> None:
    one_by_one = Histogram("h", "", ["a"], buckets=BUCKETS, registry=CollectorRegistry()).labels("x")
    together = BatchHistogram("h", "", ["a"], buckets=BUCKETS, registry=CollectorRegistry()).labels("x")
    seconds = [*BUCKETS, 0.0, 7.0, *(random.choice((0.05, 0.25, 0.75, 2.0)) for _ in range(200))]
    for amount in seconds:
        one_by_one.observe(amount)
    together.observe_all(seconds)
    assert samples(together) == samples(one_by_one)


def test_requests_answered_by_several_threads_are_counted_once_each() -> None:
    def counted() -> float:
        metrics = list(requests.registry().collect())
        return sum(
            one.value for metric in metrics for one in metric.samples
            if one.name.endswith("_count") and one.labels["route"] == "of-several-threads"
        )  # fmt: skip

    def answer() -> None:
        for _ in range(3 * requests.BATCH_SIZE):
            requests.count(method="GET", route="of-several-threads", status=200, seconds=0.001)

    threads = [threading.Thread(target=answer) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        counted()
    assert counted() == 4 * 3 * requests.BATCH_SIZE
