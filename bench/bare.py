"""What the web server itself costs: an application that answers every request with the same bytes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

_body = Path(os.environ["BARE_BODY"]).read_bytes()
_status = os.environ.get("BARE_STATUS", "200 OK")
_headers = [("Content-Type", "application/json"), ("ETag", '"0123456789abcdef"'), ("Content-Length", str(len(_body)))]


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """As WSGI has it; the request's body is read, as any application has to."""
    environ["wsgi.input"].read()
    start_response(_status, _headers)
    return (_body,)
