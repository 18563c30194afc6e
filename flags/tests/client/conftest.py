"""An evaluation cache of its own for each test, as a process has one."""

from __future__ import annotations

import pytest

from flags.client import evaluate
from flags.serving.evaluation_cache import EvaluationCache


@pytest.fixture(autouse=True)
def evaluation_cache(monkeypatch: pytest.MonkeyPatch) -> EvaluationCache:
    """What the process knows: nothing yet. No listener notifies it, so tests do."""
    made = EvaluationCache()
    monkeypatch.setattr(evaluate._process, "cache", made)
    monkeypatch.setattr(evaluate, "process_evaluation_cache", lambda: made)
    evaluate._logged.clear()
    return made
