"""What tests of flags share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flags.states import propagation
from flags.tests.serving.asking import Asking


@pytest.fixture
def set_smallest_chunk(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets how many organizations a chunk of a propagation has at least, and of a small tree at most."""
    return lambda count: monkeypatch.setattr(propagation, "MIN_CHUNK_SIZE", count)


@pytest.fixture
def asking(admin_key: str) -> Asking:
    """A client that sees everything, and a web process that knows nothing yet."""
    return Asking(admin_key)
