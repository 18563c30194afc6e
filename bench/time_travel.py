"""What a look into the past costs: the flags of an organization at depth 10, after 1,000 changes on its path."""

from __future__ import annotations

import random
import time
from statistics import median

from bench.installation import Installation
from bench.report import Result, say

DEPTH, CHANGES, FLAGS, MOVES = 10, 1_000, 5, 20
QUESTIONS = 200
MOST_MILLISECONDS = 20


def time_travel(installation: Installation, _: int) -> list[Result]:
    """Make changes on a path, move the path now and then, and ask for random ones of these moments."""
    ids, numbers = _lived(installation)
    leaf = ids[-1]
    addresses = {
        "one flag": f"/{leaf}/flag-0",
        f"the list of {FLAGS} flags": f"/organizations/{leaf}/flags",
        "an explanation": f"/v1/feature-flags/flag-0/explain?organizationId={leaf}&userId=user-1",
    }
    return [_result(installation, what, address, numbers) for what, address in addresses.items()]


def _lived(installation: Installation) -> tuple[list[int], list[int]]:
    """Make a path and its changes. Returns the path, and the numbers of the changes."""
    installation.clear()
    installation.authorize()
    ids: list[int] = []
    roots = [_create(installation, key, None) for key in ("one", "other")]
    for level in range(DEPTH):
        ids.append(_create(installation, f"level-{level}", ids[-1] if ids else roots[0]))
    chance = random.Random(1)
    numbers = []
    for number in range(CHANGES):
        if number % (CHANGES // MOVES) == 0:
            parent_id = roots[number // (CHANGES // MOVES) % 2]
            answer = installation.http.patch(f"/organizations/{ids[0]}", json={"parentId": parent_id})
            assert answer.status_code < 300, answer.text
        address = f"/v1/organizations/{chance.choice(ids)}/flags/flag-{number % FLAGS}"
        answer = installation.http.put(address, json={"value": chance.random() < 0.5})
        assert answer.status_code < 300, answer.text
        numbers.append(answer.json()["changeNumber"])
    installation.sql("ANALYZE")
    say(f"{CHANGES:,} changes and {MOVES} moves")
    return ids, numbers


def _create(installation: Installation, key: str, parent_id: int | None) -> int:
    answer = installation.http.post("/organizations", json={"name": key, "key": key, "parentId": parent_id})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def _result(installation: Installation, what: str, address: str, numbers: list[int]) -> Result:
    chance = random.Random(2)
    past = sorted(_ask(installation, address, chance.choice(numbers)) for _ in range(QUESTIONS))
    present = sorted(_ask(installation, address, None) for _ in range(QUESTIONS))
    p50 = median(past)
    return Result(
        f"time travel, {what}, {CHANGES:,} changes, depth {DEPTH}", f"p50 {p50:.1f} ms, p99 {past[-3]:.1f} ms",
        f"now: p50 {median(present):.1f} ms", p50 / MOST_MILLISECONDS, f"p50 ≤ {MOST_MILLISECONDS} ms",
        p50 <= MOST_MILLISECONDS, {"past": past, "present": present},
    )  # fmt: skip


def _ask(installation: Installation, address: str, number: int | None) -> float:
    """Ask for the moment after a change, or for now. Returns the milliseconds."""
    began = time.perf_counter()
    at = f"{'&' if '?' in address else '?'}at={number}" if number else ""
    answer = installation.http.get(f"{address}{at}")
    milliseconds = (time.perf_counter() - began) * 1000
    assert answer.status_code in (200, 404), answer.text  # 404: the flag was created later
    return milliseconds
