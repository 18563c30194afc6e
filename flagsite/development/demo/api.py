"""The HTTP client of the demo. It uses the standard library only."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

TIMEOUT_SECONDS = 30.0


class UnexpectedAnswer(Exception):
    """Flagsite gave an answer that the demo did not expect."""


@dataclass(frozen=True)
class Api:
    """The API of Flagsite at a port of this machine, with an access key."""

    port: int
    key: str

    @property
    def address(self) -> str:
        """The base URL of the API."""
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Return the JSON of a response with status 200. Raises UnexpectedAnswer."""
        return self._expect(200, "GET", path + ("?" + urlencode(query) if query else ""))

    def get_or_none(self, path: str) -> dict[str, Any] | None:
        """Return the JSON of a response with status 200, or None for 404. Raises UnexpectedAnswer."""
        status, answer = self._send("GET", path)
        return None if status == http.client.NOT_FOUND else self._checked(200, "GET", path, status, answer)

    def post(self, path: str) -> dict[str, Any]:
        """Return the JSON of a response with status 202. Raises UnexpectedAnswer."""
        return self._expect(202, "POST", path)

    def all_pages(self, path: str) -> Iterator[dict[str, Any]]:
        """Yield every row of a list from all its pages. Raises UnexpectedAnswer."""
        next_path: str | None = f"{path}?pageSize=1000"
        while next_path:
            page = self.get(next_path)
            yield from page["results"]
            link = urlsplit(page["next"] or "")
            next_path = f"{link.path}?{link.query}" if link.path else None

    def _expect(self, expected: int, method: str, path: str) -> dict[str, Any]:
        return self._checked(expected, method, path, *self._send(method, path))

    def _checked(self, expected: int, method: str, path: str, status: int, answer: bytes) -> dict[str, Any]:
        if status != expected:
            text = answer.decode(errors="replace")[:600]
            raise UnexpectedAnswer(f"{method} {path} has the status {status} instead of {expected}: {text}")
        document: dict[str, Any] = json.loads(answer)
        return document

    def _send(self, method: str, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, path, headers={"Authorization": f"Bearer {self.key}"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()
