"""Continue the trace of a request in its job. These functions do nothing until `flagsite.tracing` switches them on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

Start = Callable[[str, str, Mapping[str, Any]], AbstractContextManager[None]]
"""Starts a span. The arguments are its name, the W3C traceparent of the trace to continue, and its attributes."""
_current: Callable[[], str] | None = None
_start: Start | None = None


def switch_on(*, current: Callable[[], str], start: Start) -> None:
    """Trace jobs from now on with these two functions."""
    global _current, _start
    _current, _start = current, start


def current() -> str:
    """Return the W3C traceparent of the current trace, which a job stores; an empty text if there is no trace."""
    return _current() if _current is not None else ""


@contextmanager
def span(name: str, context: str, attributes: Mapping[str, Any]) -> Iterator[None]:
    """Run the body in a span of the trace to which `context`, a W3C traceparent, belongs."""
    if _start is None:
        yield
        return
    with _start(name, context, attributes):
        yield
