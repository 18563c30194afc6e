"""The bare application: it gives the same answer to every request, and so shows the cost of the web server itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

_head, _, _body = Path(os.environ["BARE_ANSWER"]).read_bytes().partition(b"\r\n\r\n")
_status_line, *_header_lines = _head.decode("latin-1").split("\r\n")
_status = _status_line.partition(" ")[2]
_headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in _header_lines)]
_headers = [(name, value) for name, value in _headers if name.lower() not in {"server", "date", "connection"}]
"""The headers of the answer without those that the server adds itself."""


class BareApplication:
    """It reads the body of the request, as every application has to."""

    def answer_now(self, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
        """The answer, in the event loop of the web process."""
        environ["wsgi.input"].read()
        return _status, _headers, _body


application = BareApplication()
