"""A memory of its own for each test, as a process has one."""

from __future__ import annotations

import pytest

from flags.client import evaluate
from flags.serving.evaluation_cache import EvaluationCache


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> EvaluationCache:
    """What the process knows: nothing yet. Nobody listens to the database, so tests tell it what has changed."""
    made = EvaluationCache()
    monkeypatch.setattr(evaluate._process, "memory", made)
    monkeypatch.setattr(evaluate, "process_evaluation_cache", lambda: made)
    evaluate._logged.clear()
    return made
