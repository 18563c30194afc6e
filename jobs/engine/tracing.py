"""The trace that a request's job goes on with. Nothing happens until `flagsite.tracing` switches it on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

Start = Callable[[str, str, Mapping[str, Any]], AbstractContextManager[None]]
"""Given a name, the context of the trace to go on with and attributes: a span around what is done inside."""
_current: Callable[[], str] | None = None
_start: Start | None = None


def switch_on(*, current: Callable[[], str], start: Start) -> None:
    """From now on traces are made by these."""
    global _current, _start
    _current, _start = current, start


def current() -> str:
    """What a job has to remember so that its work goes on with the present trace; empty without one."""
    return _current() if _current is not None else ""


@contextmanager
def span(name: str, context: str, attributes: Mapping[str, Any]) -> Iterator[None]:
    """Have what is done inside be a part of the trace that `context` came from."""
    if _start is None:
        yield
        return
    with _start(name, context, attributes):
        yield
