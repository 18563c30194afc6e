"""What the web server itself costs: an application that gives the same answer to every request."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from flagsite.web import thread_policy

_head, _, _body = Path(os.environ["BARE_ANSWER"]).read_bytes().partition(b"\r\n\r\n")
_first, *_lines = _head.decode("latin-1").split("\r\n")
_status = _first.partition(" ")[2]
_headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in _lines)]
_headers = [(name, value) for name, value in _headers if name.lower() not in {"server", "date", "connection"}]
"""The others are the server's own."""


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """As WSGI has it; the request's body is read, as any application has to."""
    thread_policy.run_as_answering_thread()
    environ["wsgi.input"].read()
    start_response(_status, _headers)
    return [_body]


thread_policy.yield_to_other_threads()  # as in the service, so that only the application differs
