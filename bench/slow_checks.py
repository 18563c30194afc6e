"""Reads beside callers who make Flagsite compute: regular expressions in rules, and JSON Schemas, made to be slow."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from bench import client
from bench.coherence import paced, percentile_99
from bench.installation import Installation
from bench.reads import PATH, read_request
from bench.report import Result

CALLERS = (1, 4)
"""One, and as many as the threads of both web processes."""
TURNS = 3
"""Of each kind; the median counts."""
SECONDS = 3.0
KNOWN = 200
MAX_RATIO, MAX_SECONDS = 2.0, 1.0
EXPRESSIONS_OF_A_RULE, VALUES = 3, 5
LETTERS = "".join(random.Random(1).choices("ab", k=60_000))
"""A context takes up to 64 KiB."""
EXPRESSIONS = [f"(?:a?){{{200 - number}}}(?:.{{0,60}}a){{3}}c" for number in range(EXPRESSIONS_OF_A_RULE)]
"""RE2 takes linear time, but of each character it asks hundreds of places in such an expression."""
CLAUSE = {"attribute": "text", "op": "matches", "values": EXPRESSIONS}
RULES = [{"id": "slow", "serve": {"variant": "on"}, "clauses": [CLAUSE]}]
ALTERNATIVES, CHOSEN = 900, 10
SCHEMA = {"properties": {"chosen": {"items": {"anyOf": [{"const": number} for number in range(ALTERNATIVES)]}}}}
"""Each value below needs nearly all of the steps that a check may take."""
VARIANTS = [
    {"key": f"v-{number}", "value": {"chosen": [ALTERNATIVES - 1] * CHOSEN, "number": number}}
    for number in range(VALUES)
]
FLAGS = "/v1/feature-flags"
Request = tuple[str, dict[str, Any]]
"""A path and a body."""


def slow_checks(installation: Installation, rows: int) -> list[Result]:
    """Compare the p99 of single evaluations beside such callers with their p99 on an idle machine."""
    (root,) = installation.create_trees(1000)
    installation.http.post(f"/{root}/bench/true").raise_for_status()
    installation.http.post(FLAGS, json={"name": "slow-rules", "rules": RULES}).raise_for_status()
    known = [read_request(installation, root + number, f"{PATH}/bench") for number in range(KNOWN)]
    for _ in range(5):  # more than once, since two processes answer
        client.run(installation.port, iter(known))
    return [
        _result(installation, known, what, request, callers)
        for what, request in (
            (f"{EXPRESSIONS_OF_A_RULE} slow regular expressions on 60 kB", _evaluation(root)),
            (f"{VALUES} values and a slow JSON Schema", _definition()),
        )
        for callers in CALLERS
    ]


def _evaluation(root: int) -> Request:
    return f"{PATH}/slow-rules", {"context": {"targetingKey": "u", "organizationId": root, "text": LETTERS}}


def _definition() -> Request:
    return FLAGS, {"name": "slow-schema", "type": "object", "variants": VARIANTS, "schema": SCHEMA}


def _result(installation: Installation, known: list[bytes], what: str, request: Request, callers: int) -> Result:
    """Measure in turns, with and without the callers, since other programs disturb a machine for a while."""
    alone, beside = [], []
    slow: list[float] = []
    for _ in range(TURNS):
        alone.append(percentile_99(paced(installation, known, threading.Event(), SECONDS)))
        with _calling(installation, request, callers, slow):
            time.sleep(0.5)
            beside.append(percentile_99(paced(installation, known, threading.Event(), SECONDS)))
    ours, idle = sorted(beside)[TURNS // 2], sorted(alone)[TURNS // 2]
    return Result(
        f"p99 of reads, callers with {what}: {callers}", f"{ours:.1f} ms; the longest of these {max(slow):.1f} s",
        f"idle {idle:.1f} ms", ours / idle, f"≤ {MAX_RATIO:g} ×; ≤ {MAX_SECONDS:g} s for one",
        ours <= MAX_RATIO * idle and max(slow) <= MAX_SECONDS, {"alone": alone, "beside": beside, "slow": slow},
    )  # fmt: skip


@contextmanager
def _calling(installation: Installation, request: Request, callers: int, slow: list[float]) -> Iterator[None]:
    """Have callers send the request again and again. Their seconds are added to `slow`."""
    done = threading.Event()
    threads = [threading.Thread(target=_call, args=(installation, request, done, slow)) for _ in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


def _call(installation: Installation, request: Request, done: threading.Event, slow: list[float]) -> None:
    path, body = request
    with httpx.Client(base_url=installation.http.base_url, headers=installation.http.headers, timeout=300) as http:
        while not done.is_set():
            began = time.perf_counter()
            answer = http.post(path, json=body)
            if answer.status_code == 503:  # the server is too busy; it says so at once
                time.sleep(float(answer.headers["Retry-After"]))
                continue
            slow.append(time.perf_counter() - began)
            assert answer.status_code in {200, 201, 409}, answer.text
