"""The customer's own web site: static files on another origin than Flagsite's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HTML = "<!doctype html><title>Shop</title><script type=module src=page.js></script>"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name is the library's
        """Say nothing."""


@contextmanager
def page_served(folder: Path, port: int) -> Iterator[None]:
    """Serve the folder's page.js, and a page that loads it, while inside."""
    (folder / "index.html").write_text(HTML)
    with ThreadingHTTPServer(("127.0.0.1", port), partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()
