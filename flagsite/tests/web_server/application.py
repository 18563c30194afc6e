"""A small application for tests of the web server, with short deadlines and two lanes."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from flagsite.web_server.lanes import Lane
from flagsite.web_server.limits import Limits

Environ = dict[str, Any]
MUCH = 8_000_000
ORDINARY = Lane("ordinary")
IMPATIENT = Lane("impatient", queued_seconds=0.2)
if os.environ.get("REFUSE_TO_START"):
    sys.exit("refused to start")


def _slept(seconds: str) -> bytes:
    time.sleep(float(seconds))
    return b"slept"


class Application:
    """It answers /now and /much-now in the event loop, and everything else in a thread; PUT is in a lane of its own."""

    limits = Limits(
        connections=int(os.environ.get("CONNECTIONS", "64")),
        head_seconds=1.0, body_seconds=1.0, idle_seconds=1.0, send_seconds=1.0, stop_seconds=10.0,
        body_bytes=2_000_000, all_bodies_bytes=4_000_000, queued_requests=4,
    )  # fmt: skip

    lanes = (ORDINARY, IMPATIENT)

    def lane_of(self, environ: Environ) -> Lane:
        return IMPATIENT if environ["REQUEST_METHOD"] == "PUT" else ORDINARY

    def answer_now(self, environ: Environ) -> tuple[str, list[tuple[str, str]], bytes] | None:
        if environ["PATH_INFO"] not in {"/now", "/much-now"}:
            return None
        body = str(os.getpid()).encode() if environ["PATH_INFO"] == "/now" else b"x" * MUCH
        return "200 OK", [("Content-Length", str(len(body)))], body

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
        path = environ["PATH_INFO"]
        if path == "/sleep":
            time.sleep(float(query["seconds"]))
        if path == "/die":
            os._exit(3)
        if path == "/fail":
            raise ValueError("on purpose")
        if path == "/exit":
            sys.exit("on purpose")
        if path in {"/no-content", "/broken-header"}:
            start_response("204 No Content", [("X-Two", "a\nb")] if path == "/broken-header" else [])
            return [b"nobody may read this"]
        start_response("200 OK", [("Content-Type", "text/plain")])
        if path == "/part-and-sleep":
            return itertools.chain((b"x" * 70_000,), (_slept(query["seconds"]) for _ in range(1)))
        if path == "/parts":
            return (b"%065536d" % number for number in range(int(query["count"])))
        if path == "/echo":
            return [environ["wsgi.input"].read()]
        if path == "/environ":
            names = sorted(name for name in environ if name.startswith("HTTP_") or name in {"PATH_INFO", "REMOTE_ADDR"})
            return [repr({name: environ[name] for name in names}).encode()]
        return [b"done"]


application = Application()
