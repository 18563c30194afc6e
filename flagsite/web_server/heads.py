"""The head of a message: a request's as WSGI's environment (PEP 3333), and the bytes of an answer's."""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import formatdate
from time import time
from typing import Any
from urllib.parse import unquote_to_bytes

from flagsite.web_server.limits import LONGEST_HEADER, LONGEST_TARGET, MOST_HEADERS
from flagsite.web_server.refusals import Refusal

Environ = dict[str, Any]
MOST_KNOWN_NAMES = 1000
LONGEST_KNOWN_NAME = 100
METHODS = {name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")}
known_headers: dict[bytes, str] = {}
"""The names in WSGI's environment of headers that came before."""
_date = (0, "")


def environ_name(header: bytes) -> str:
    """The name that a header has in WSGI's environment; empty for a header that is left out.

    A header with an underscore is left out, because it would look like the one with a hyphen.
    """
    name = known_headers.get(header)
    if name is None:
        text = header.decode("latin-1").upper()
        name = "" if "_" in text else "HTTP_" + text.replace("-", "_")
        if name in {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"}:
            name = name.removeprefix("HTTP_")
        if len(known_headers) < MOST_KNOWN_NAMES and len(header) <= LONGEST_KNOWN_NAME:
            known_headers[header] = name
    return name


def other_method(method: bytes) -> str:
    """The name of a method that is not in METHODS. Raises Refusal for CONNECT, whose target is no path."""
    if method == b"CONNECT":
        raise Refusal(400, "The method CONNECT is for proxies.")
    return method.decode("latin-1")


def add_header(environ: Environ, header: bytes, value: bytes) -> None:
    """Add a header of the request; two of the same name are one list. Raises Refusal."""
    if len(value) > LONGEST_HEADER or len(environ) > MOST_HEADERS:
        raise Refusal(431, f"A header may have {LONGEST_HEADER} bytes, and a request {MOST_HEADERS - 20} headers.")
    name = environ_name(header)
    if name in environ:
        if name == "HTTP_HOST":
            raise Refusal(400, "The request has two Host headers.")
        separator = "; " if name == "HTTP_COOKIE" else ","
        environ[name] += separator + value.decode("latin-1")
    elif name:
        environ[name] = value.decode("latin-1")


def add_target(environ: Environ, target: bytes) -> None:
    """Add path and query of the request's target (RFC 9112, section 3.2). Raises Refusal."""
    if len(target) > LONGEST_TARGET:
        raise Refusal(414, f"The address may have {LONGEST_TARGET} bytes.")
    path, _, query = target.partition(b"#")[0].partition(b"?")
    if not path.startswith(b"/") and path != b"*":
        scheme, separator, rest = path.partition(b"://")
        if not separator or not scheme:
            raise Refusal(400, "The request needs a path that begins with a slash.")
        path = b"/" + rest.partition(b"/")[2]
    if b"%" in path:
        path = unquote_to_bytes(path)
    environ["PATH_INFO"] = path.decode("latin-1")
    environ["QUERY_STRING"] = query.decode("latin-1")


def head(status: str, headers: Sequence[tuple[str, str]], *more: str) -> bytes:
    """The bytes before the body of an answer; `more` are whole header lines. Raises ValueError for a broken header."""
    text = f"HTTP/1.1 {status}\r\nDate: {http_date()}\r\n"
    count = 3 + len(headers) + len(more)
    for name, value in headers:
        text += f"{name}: {value}\r\n"
    for line in more:
        text += line + "\r\n"
    text += "\r\n"
    if text.count("\n") != count:
        raise ValueError("A header has a line break.")
    return text.encode("latin-1")


def http_date() -> str:
    """The value of the header Date, which changes once a second."""
    global _date  # noqa: PLW0603 - of this second
    now = int(time())
    if _date[0] != now:
        _date = now, formatdate(now, usegmt=True)
    return _date[1]
