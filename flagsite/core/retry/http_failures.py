"""Which failures of an HTTP call are transient, and how long the server asks to wait."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import requests
import urllib3

STATUS_NAMES = ("status_code", "status", "code")
"""Where requests and httpx, aiohttp, and urllib keep the status of a response."""
CONNECTION_FAILURES: tuple[type[BaseException], ...] = (
    ConnectionError,
    TimeoutError,
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    urllib3.exceptions.ProtocolError,
    urllib3.exceptions.TimeoutError,
)
LASTING: tuple[type[BaseException], ...] = (requests.exceptions.SSLError,)
"""Failures of a connection that a repetition does not heal, such as a certificate that is not valid."""
OPTIONAL_FAILURES = {"httpx": ("TransportError",), "aiohttp": ("ClientConnectionError", "ClientPayloadError")}
"""The same of libraries that Flagsite does not need itself, by the name of the library."""
OPTIONAL_LASTING = {"httpx": ("UnsupportedProtocol",), "aiohttp": ("ClientConnectorCertificateError", "ClientSSLError")}


class UnwantedStatus(Exception):
    """A call has returned a response whose status says that a later call may succeed, also in the last attempt.

    `response` is this response.
    """

    def __init__(self, response: Any) -> None:
        super().__init__(f"The server answered {status_of(response)}.")
        self.response = response


def is_connection_failure(error: BaseException) -> bool:
    """Return whether the connection failed or took too long, so that a later call may succeed."""
    if isinstance(error, (*LASTING, *_loaded(OPTIONAL_LASTING))):
        return False
    if isinstance(error, (*CONNECTION_FAILURES, *_loaded(OPTIONAL_FAILURES))):
        return True
    reason = getattr(error, "reason", None)  # urllib's URLError and urllib3's MaxRetryError hide the failure in it
    return isinstance(reason, CONNECTION_FAILURES)


def response_in(error: BaseException) -> Any:
    """Return the response that the exception carries; the exception itself if it is one, as urllib's HTTPError."""
    response = getattr(error, "response", None)
    return error if response is None else response  # not `or`: a response of requests with the status 503 is false


def status_of(response: Any) -> int | None:
    """Return the status of a response of any library, or None if it is no response."""
    for name in STATUS_NAMES:
        status = getattr(response, name, None)
        if isinstance(status, int) and not isinstance(status, bool):
            return status
    return None


def has_status(response: Any, statuses: Collection[int]) -> bool:
    """Return whether this is a response with one of the statuses."""
    return status_of(response) in statuses


def retry_after(response: Any) -> float | None:
    """Return the seconds that the response asks to wait (Retry-After, in seconds or as an HTTP date), or None."""
    headers: Any = getattr(response, "headers", None)
    written = headers.get("Retry-After") if hasattr(headers, "get") else None
    if not isinstance(written, str):
        return None
    written = written.strip()
    if written.isascii() and written.isdigit():
        return float(written[:9])
    try:
        moment = parsedate_to_datetime(written)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _loaded(names: Mapping[str, tuple[str, ...]]) -> list[type[BaseException]]:
    """Return the exception classes with these names, of the libraries that this process has imported."""
    return [
        found
        for library, classes in names.items()
        for name in classes
        if isinstance(found := getattr(sys.modules.get(library), name, None), type)
    ]
