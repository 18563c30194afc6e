"""Reads beside writers: writers that wait for the tree lock, and writers that keep the processors busy."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from bench import client
from bench.coherence import paced, percentile_99
from bench.installation import Installation
from bench.reads import read_request
from bench.report import Result
from bench.running_writers import ended, leaves_below, run_writers
from flagsite.development import servers
from orgs.tree.locks import ALL_TREES_FOR_WRITING

WAITING, BUSY = 10, 50
"""The numbers of writers."""
READERS = 300
SECONDS = 4.0
FLAG_PATH = "/ofrep/v1/evaluate/flags/bench"
KNOWN = 200
"""Organizations whose snapshots the web processes have; every other one is read from the database, once."""
TURN = 10_000
"""Reads of one busy turn."""
TURNS = 5
"""Of each kind; the median counts."""


def reads_beside_writers(installation: Installation, rows: int) -> list[Result]:
    """Compare reads beside waiting and beside busy writers with reads on an idle machine."""
    (root,) = installation.create_trees(min(rows, 100_000))
    installation.http.post(f"/{root + 100}/bench/true").raise_for_status()
    known = [read_request(installation, number, FLAG_PATH) for number in range(root, root + KNOWN)]
    for _ in range(5):  # more than once, since two processes answer
        client.run(installation.port, iter(known))
    return [_beside_waiting(installation, root, known), _beside_busy(installation, root, known)]


def _beside_waiting(installation: Installation, root: int, known: list[bytes]) -> Result:
    """Measure in turns, with and without writers, since other programs disturb a machine for a while."""
    unknown = [read_request(installation, root + number, FLAG_PATH) for number in range(KNOWN, 10 * KNOWN)]
    idle: list[dict[str, float]] = []
    beside: list[dict[str, float]] = []
    slowest = []
    for turn in range(TURNS):
        of_turn = unknown[turn::TURNS]
        idle.append(_both(installation, known, of_turn[::2]))
        with _held_tree(installation), run_writers(installation, WAITING, leaves_below(root)) as writers:
            time.sleep(1)
            beside.append(_both(installation, known, of_turn[1::2]))
            slowest.append(ended(writers)["slowest"])
    ours, alone = (
        {name: sorted(turn[name] for turn in turns)[TURNS // 2] for name in turns[0]} for turns in (beside, idle)
    )
    ratio = max(ours[name] / alone[name] for name in ours)
    return Result(
        f"p99 of reads beside {WAITING} waiting writers",
        ", ".join(f"{name} {ours[name]:.1f} ms" for name in ours) + f"; a write waits {max(slowest):.2f} s at most",
        ", ".join(f"idle {alone[name]:.1f} ms" for name in alone), ratio, "≤ 2 ×; writes refused in about a second",
        ratio <= 2 and max(slowest) <= 1.2, {"idle": idle, "beside": beside, "slowest": slowest},
    )  # fmt: skip


def _beside_busy(installation: Installation, root: int, known: list[bytes]) -> Result:
    alone, beside, written = [], [], []
    with run_writers(installation, BUSY, leaves_below(root)) as writers:
        time.sleep(SECONDS)
        written_alone = ended(writers)["per_second"]
    for _ in range(TURNS):
        alone.append(_rate(installation, known))
        with run_writers(installation, BUSY, leaves_below(root)) as writers:
            time.sleep(1)
            beside.append(_rate(installation, known))
            written.append(ended(writers)["per_second"])
    reads_alone, reads, writes = (sorted(each)[TURNS // 2] for each in (alone, beside, written))
    allowed = max(reads_alone * (1 - writes / written_alone), reads_alone / 2)
    return Result(
        f"reads of {READERS} readers beside {BUSY} busy writers", f"{reads:.0f}/s and {writes:.0f} writes/s",
        f"{reads_alone:.0f}/s or {written_alone:.0f} writes/s alone", reads / allowed,
        "≥ 0.5 × what the processors allow", reads / allowed >= 0.5,
        {"reads_alone": alone, "reads": beside, "writes": written, "writes_alone": written_alone},
    )  # fmt: skip


def _both(installation: Installation, known: list[bytes], unknown: list[bytes]) -> dict[str, float]:
    """The p99 of reads of known organizations, and of reads that need the database."""
    done = threading.Event()
    return {
        "cached": percentile_99(paced(installation, known, done, SECONDS)),
        "uncached": percentile_99(paced(installation, unknown, done, SECONDS, each_once=True)),
    }


def _rate(installation: Installation, known: list[bytes]) -> float:
    chosen = random.Random(3).choices(known, k=TURN)
    return client.run(installation.port, iter(chosen), connections=READERS).per_second


@contextmanager
def _held_tree(installation: Installation) -> Iterator[None]:
    with psycopg.connect(servers.database_url(installation.folder)) as holder:
        holder.execute(ALL_TREES_FOR_WRITING)
        yield
