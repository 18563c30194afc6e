"""The examples of the reference system run as they are written there; only the module has another name."""

from __future__ import annotations

import http.server
import json
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import redis
import requests
from django.conf import LazySettings
from django.db import OperationalError

from flagsite.core import retry

EXAMPLES = """
from app.utils.retry import database_retry, api_retry, redis_retry

@database_retry(max_attempts=3)
def get_user(db: Session, user_id: int):
    return db.query(User).filter(User.id == user_id).first()

@api_retry(status_codes=(429, 500, 502, 503, 504))
def fetch_external_data(url: str):
    response = requests.get(url, timeout=30)
    return response.json()

@redis_retry()
def get_from_cache(key: str):
    return redis_client.get(key)
"""


class Unsteady(http.server.BaseHTTPRequestHandler):
    """Closes the first connection without an answer."""

    calls = 0

    def do_GET(self) -> None:
        type(self).calls += 1
        if self.calls == 1:
            return
        body = json.dumps({"path": self.path}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Unsteady) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/data"
        server.shutdown()
        thread.join()


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch, settings: LazySettings, reconnections: list[str]) -> dict[str, Any]:
    settings.RETRY_WAIT_MIN = settings.RETRY_JITTER = 0.01
    monkeypatch.setitem(sys.modules, "app.utils.retry", retry)
    for parent in ("app", "app.utils"):
        monkeypatch.setitem(sys.modules, parent, SimpleNamespace())
    client = redis.Redis.from_url(settings.REDIS_URL)
    names: dict[str, Any] = {
        "Session": object, "User": SimpleNamespace(id=7), "requests": requests, "redis_client": client,
    }  # fmt: skip
    exec(EXAMPLES, names)
    return names


class Rows:
    """Answers as a session of the reference does, after the database was away once."""

    tries = 0

    def query(self, model: Any) -> Rows:
        self.tries += 1
        if self.tries == 1:
            raise OperationalError("server closed the connection unexpectedly")
        return self

    def filter(self, condition: bool) -> Rows:
        assert condition
        return self

    def first(self) -> str:
        return "alice"


def test_they_do_what_they_say(examples: dict[str, Any], url: str, db: None) -> None:
    rows = Rows()
    assert examples["get_user"](rows, 7) == "alice"
    assert rows.tries == 2
    assert examples["fetch_external_data"](url) == {"path": "/data"}
    assert Unsteady.calls == 2
    examples["redis_client"].set("key-of-a-test", "value", ex=60)
    assert examples["get_from_cache"]("key-of-a-test") == b"value"
    examples["redis_client"].close()
