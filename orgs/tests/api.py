"""A client of the API for tests: sends a key, JSON bodies, and nothing that the test did not ask for."""

from __future__ import annotations

import json
from typing import Any

from django.test import Client
from django.test.client import ClientHandler

HANDLER = ClientHandler(enforce_csrf_checks=False)
"""Shared, since each handler would load the middleware anew, and WhiteNoise look for all static files."""
JSON = "application/json"
PROBLEM = "application/problem+json"


class Api:
    """Sends requests as the owner of `key`; errors on the server's side are answered, not raised."""

    def __init__(self, key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.client = Client(headers=headers, raise_request_exception=False)
        self.client.handler = HANDLER

    def get(self, path: str, **parameters: Any) -> Any:
        return self.client.get(path, parameters)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Send `body` as JSON, or none at all; bytes go as they are. Underscores in `headers` stand for dashes."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content_type = named.pop("Content-Type", JSON if content else "")
        return self.client.generic(method, path, content, content_type, headers=named)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.send("POST", path, body, **headers)

    def put(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.send("PUT", path, body, **headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.send("PATCH", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Any:
        return self.send("DELETE", path, **headers)


def kind_of(response: Any) -> str:
    """The type of the problem that was answered, without its prefix; checks the shape of a problem on the way."""
    assert response["Content-Type"] == PROBLEM, response.content
    problem = response.json()
    assert problem["status"] == response.status_code
    assert problem["title"]
    assert problem["detail"]
    return str(problem["type"].removeprefix("/problems/"))


def wrong_fields(response: Any) -> set[str]:
    """The fields that a 400 complains about."""
    assert (response.status_code, kind_of(response)) == (400, "invalid-input")
    return {error["field"] for error in response.json()["errors"]}


def ids(response: Any) -> list[int]:
    """The ids on a page."""
    assert response.status_code == 200, response.content
    return [row["id"] for row in response.json()["results"]]
