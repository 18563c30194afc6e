"""The answers of the web server itself, to requests that it hands on to nobody: problem details (RFC 9457)."""

from __future__ import annotations

import json
from http import HTTPStatus

TYPES = {
    400: "bad-request",
    408: "request-timeout",
    413: "request-too-large",
    414: "address-too-long",
    431: "headers-too-large",
    500: "internal-error",
    503: "server-busy",
}
"""The type of each status; docs/errors.md explains them."""
RETRY_AFTER = ("Retry-After", "1")
Answer = tuple[str, list[tuple[str, str]], bytes]
"""Status line, headers and body."""


class Refusal(Exception):
    """The request gets this status and explanation, and its connection is closed."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def refusal(status: int, detail: str) -> Answer:
    """The answer with this status. Evaluations read `errorDetails`, all others the rest."""
    title = HTTPStatus(status).phrase
    body = {
        "type": f"/problems/{TYPES[status]}", "title": title, "status": status, "detail": detail,
        "errorDetails": detail,
    }  # fmt: skip
    content = json.dumps(body).encode()
    headers = [("Content-Type", "application/problem+json"), ("Content-Length", str(len(content)))]
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append(RETRY_AFTER)
    return f"{status} {title}", headers, content
