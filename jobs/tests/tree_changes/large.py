"""Large changes of a small tree: what a job does for thousands of organizations, it does here for six."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from jobs.engine import runner
from jobs.engine.models import Job
from jobs.tests.engine_steps import before_each
from jobs.tree_changes import deletion_job
from orgs.tree import integrity

CHECKS_IN_A_STEP = 2
"""A step looks before its transaction, and under the tree lock, whether the job should still run."""


def started(answer: Any) -> Job:
    """The job of a change that was accepted."""
    assert answer.status_code == 202, answer.content
    said = answer.json()
    assert answer["Location"] == said["trackingUrl"] == f"/job-status/{said['jobId']}"
    return Job.objects.get(pk=said["jobId"])


def work() -> None:
    """Do what waits."""
    while runner.run_next("default"):
        pass


@contextmanager
def in_steps_of(most: int) -> Iterator[None]:
    """While it lasts, a step of a deletion deletes so many organizations."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("FIRST_STEP", "SMALLEST_STEP", "LARGEST_STEP"):
            patch.setattr(deletion_job, name, most)
        yield


@contextmanager
def after_step(number: int, do: Callable[[], object]) -> Iterator[None]:
    """While it lasts, something is done between this step and the next one; the tree is sound there."""
    checks = 0

    def checked(*_: Any) -> None:
        nonlocal checks
        assert integrity.find_problems().sound
        if checks == number * CHECKS_IN_A_STEP:
            do()
        checks += 1

    with in_steps_of(1), before_each("check", checked):
        yield
