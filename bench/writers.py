"""A process of writers for benchmarks: python -m bench.writers PORT AUTHORIZATION ROOT COUNT, until its input ends."""

from __future__ import annotations

import http.client
import json
import random
import sys
import threading
import time

LEAVES = 1000


class Writers:
    """Threads that set a flag on leaves of one tree, each as soon as it has the answer to its last request."""

    def __init__(self, port: int, authorization: str, root: int) -> None:
        self._port = port
        self._headers = {"Authorization": authorization}
        self._first_leaf = root + 100
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
            "per_second": sum(status == 200 for status, _ in answers) / seconds,
            "refused": sum(status == 503 for status, _ in answers),
            "others": sum(status not in {200, 503} for status, _ in answers),
            "slowest": max((waited for _, waited in answers), default=0.0),
        }

    def _write(self, number: int) -> None:
        chosen = random.Random(number)
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        while not self._done.is_set():
            leaf = self._first_leaf + chosen.randrange(LEAVES)
            began = time.monotonic()
            connection.request("POST", f"/{leaf}/bench/true", headers=self._headers)
            answer = connection.getresponse()
            answer.read()
            self._answers.append((answer.status, time.monotonic() - began))
            if answer.status == 503:
                self._done.wait(float(answer.headers["Retry-After"]))


if __name__ == "__main__":
    print(json.dumps(Writers(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])).run(int(sys.argv[4]))))
