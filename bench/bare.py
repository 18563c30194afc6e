"""The bare application: it gives the same answer to every request, and so shows the cost of the web server itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from flagsite.web import thread_policy

_head, _, _body = Path(os.environ["BARE_ANSWER"]).read_bytes().partition(b"\r\n\r\n")
_status_line, *_header_lines = _head.decode("latin-1").split("\r\n")
_status = _status_line.partition(" ")[2]
_headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in _header_lines)]
_headers = [(name, value) for name, value in _headers if name.lower() not in {"server", "date", "connection"}]
"""The headers of the answer without those that the server adds itself."""


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The WSGI application. It reads the body of the request, as every application has to."""
    thread_policy.run_as_answering_thread()
    environ["wsgi.input"].read()
    start_response(_status, _headers)
    return [_body]


thread_policy.yield_to_other_threads()  # as in Flagsite, so that only the application differs
