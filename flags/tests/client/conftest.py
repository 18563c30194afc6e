"""A memory of its own for each test, as a process has one."""

from __future__ import annotations

import pytest

from flags.client import asking
from flags.serving.memory import Memory


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """What the process knows: nothing yet. Nobody listens to the database, so tests tell it what has changed."""
    made = Memory()
    monkeypatch.setattr(asking._process, "memory", made)
    monkeypatch.setattr(asking, "process_memory", lambda: made)
    asking._logged.clear()
    return made
