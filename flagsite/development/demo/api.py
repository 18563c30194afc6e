"""The demo's side of the HTTP API, with nothing but the standard library: what any client would send."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

SECONDS = 30.0


class UnexpectedAnswer(Exception):
    """The service answered what the demo did not expect."""


@dataclass(frozen=True)
class Api:
    """The service at one port of this machine, as the owner of an access key sees it."""

    port: int
    key: str

    @property
    def address(self) -> str:
        """Where the service is."""
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """The JSON of a 200 answer. Raises UnexpectedAnswer."""
        return self._expect(200, "GET", path + ("?" + urlencode(query) if query else ""))

    def get_or_none(self, path: str) -> dict[str, Any] | None:
        """The JSON of a 200 answer, None for 404. Raises UnexpectedAnswer."""
        status, answer = self._send("GET", path)
        return None if status == http.client.NOT_FOUND else self._checked(200, "GET", path, status, answer)

    def post(self, path: str) -> dict[str, Any]:
        """The JSON of a 202 answer. Raises UnexpectedAnswer."""
        return self._expect(202, "POST", path)

    def all_pages(self, path: str) -> Iterator[dict[str, Any]]:
        """Every row of a list, page after page. Raises UnexpectedAnswer."""
        following: str | None = f"{path}?pageSize=1000"
        while following:
            page = self.get(following)
            yield from page["results"]
            link = urlsplit(page["next"] or "")
            following = f"{link.path}?{link.query}" if link.path else None

    def _expect(self, expected: int, method: str, path: str) -> dict[str, Any]:
        return self._checked(expected, method, path, *self._send(method, path))

    def _checked(self, expected: int, method: str, path: str, status: int, answer: bytes) -> dict[str, Any]:
        if status != expected:
            text = answer.decode(errors="replace")[:600]
            raise UnexpectedAnswer(f"{method} {path} was answered {status} instead of {expected}: {text}")
        answered: dict[str, Any] = json.loads(answer)
        return answered

    def _send(self, method: str, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            connection.request(method, path, headers={"Authorization": f"Bearer {self.key}"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()
