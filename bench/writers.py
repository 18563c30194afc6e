"""A process of writers for benchmarks: python -m bench.writers PORT AUTHORIZATION COUNT WORD PER_SECOND.

WORD is `set` for writers that set a flag on leaves, or `move` for writers that move organizations. Each writer sends at
most PER_SECOND requests in a second; 0 is for as many as it can. The first line of standard input is JSON: the ids of
the leaves, or of the organizations to move and of their new parents. The second line ends the process, which then
prints its figures.
"""

from __future__ import annotations

import http.client
import json
import random
import sys
import threading
import time
from collections.abc import Callable

Request = tuple[str, str, bytes]
"""Method, path and body."""


def sets(chosen: random.Random, leaves: list[int]) -> Request:
    """Set the flag on a leaf."""
    return "POST", f"/{chosen.choice(leaves)}/bench/true", b""


def moves(chosen: random.Random, organizations: dict[str, list[int]]) -> Request:
    """Move an organization below another parent."""
    body = {"parentId": chosen.choice(organizations["parents"])}
    return "PATCH", f"/organizations/{chosen.choice(organizations['movable'])}", json.dumps(body).encode()


class Writers:
    """Threads that send such requests, each as soon as it has the answer to its last one and the next one is due."""

    def __init__(
        self, port: int, authorization: str, request: Callable[[random.Random], Request], per_second: float
    ) -> None:
        self._port = port
        self._headers = {"Authorization": authorization, "Content-Type": "application/json"}
        self._request = request
        self._interval = 1 / per_second if per_second else 0.0
        self._done = threading.Event()
        self._answers: list[tuple[int, float]] = []

    def run(self, count: int) -> dict[str, float]:
        """Run `count` threads until standard input has a line. Returns the figures of all answers so far."""
        began = time.monotonic()
        for number in range(count):
            threading.Thread(target=self._write, args=(number,), daemon=True).start()
        sys.stdin.readline()
        self._done.set()
        seconds = time.monotonic() - began
        answers = list(self._answers)
        return {
            "per_second": sum(status in {200, 202} for status, _ in answers) / seconds,
            "refused": sum(status == 503 for status, _ in answers),
            "others": sum(status not in {200, 202, 503} for status, _ in answers),
            "slowest": max((waited for _, waited in answers), default=0.0),
        }

    def _write(self, number: int) -> None:
        chosen = random.Random(number)
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        due = time.monotonic()
        while not self._done.wait(max(0.0, due - time.monotonic())):
            due = max(due + self._interval, time.monotonic())  # what came too late is not made up for
            method, path, body = self._request(chosen)
            began = time.monotonic()
            connection.request(method, path, body, self._headers)
            answer = connection.getresponse()
            answer.read()
            self._answers.append((answer.status, time.monotonic() - began))
            if answer.status == 503:
                self._done.wait(float(answer.headers["Retry-After"]))


if __name__ == "__main__":
    port, authorization, count, word, per_second = sys.argv[1:]
    what = json.loads(sys.stdin.readline())
    make = {"set": sets, "move": moves}[word]
    writers = Writers(int(port), authorization, lambda chosen: make(chosen, what), float(per_second))
    print(json.dumps(writers.run(int(count))))
