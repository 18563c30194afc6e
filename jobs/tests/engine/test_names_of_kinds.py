"""A kind of job has one function: a second one with the same name is refused where it is registered."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from jobs.engine import kinds
from jobs.engine.kinds import job_kind
from jobs.metrics import probe_job


@pytest.fixture(autouse=True)
def own_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "_kinds", dict(kinds._kinds))


def test_a_second_function_with_the_name_of_a_kind_is_refused() -> None:
    def other(run: Any) -> None:
        """Would take the place of the probe."""

    before = kinds.kind_named(probe_job.KIND)
    with pytest.raises(ImproperlyConfigured, match=r"jobs\.metrics\.probe_job.*test_names_of_kinds.*another name"):
        job_kind(probe_job.KIND)(other)
    assert kinds.kind_named(probe_job.KIND) is before


def test_a_module_that_is_loaded_again_registers_its_kind_again() -> None:
    before = kinds.kind_named(probe_job.KIND)
    importlib.reload(probe_job)
    assert kinds.kind_named(probe_job.KIND) is not before
