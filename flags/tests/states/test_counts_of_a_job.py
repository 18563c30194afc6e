"""What a job says of how many organizations it concerns, and what became of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from conftest import Cast
from flags.states import sql
from flags.states.models import Change, FlagState
from flags.states.set_flag import set_flag
from flags.states.sql import Written
from jobs.engine import runner, stop_request
from jobs.engine.models import Job

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("wake_ups")]


def set_on(organization_id: int, flag: str = "f") -> Job:
    job = set_flag(organization_id=organization_id, flag_key=flag, enabled=True).job
    assert job is not None
    return job


@contextmanager
def at_each_chunk(happen: Callable[[], object]) -> Iterator[None]:
    """While it lasts, something happens whenever a chunk is written."""
    write_decided = sql.write_decided

    def written(*arguments: Any, **named: Any) -> Written:
        happen()
        return write_decided(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sql, "write_decided", written)
        try:
            yield
        finally:
            stop_request.withdraw()


def test_a_job_for_those_left_behind_keeps_its_total_when_it_was_handed_back_in_between(
    cast: Cast, set_smallest_chunk: Callable[[int], None]
) -> None:
    """By then fewer are behind."""
    set_smallest_chunk(2)
    job = set_on(cast.acme.pk)
    Job.objects.update(only_behind=True)
    with at_each_chunk(stop_request.request_stop):
        runner.run_next("propagation")
    job.refresh_from_db()
    assert (job.status, job.processed) == ("PENDING", 2)
    totals: list[int | None] = []
    with at_each_chunk(lambda: totals.append(Job.objects.get(pk=job.pk).total)):
        runner.run_next("propagation")
    assert totals == [6, 6]


def test_those_left_behind_are_not_counted_as_superseded_for_others_in_between(cast: Cast) -> None:
    job = set_on(cast.acme.pk, "f")
    set_on(cast.acme.pk, "g")
    Change.objects.update(job=job)  # as a move that brings both
    Job.objects.update(only_behind=True)
    for organization, flags in ((cast.oslo, "fg"), (cast.bergen, "fg"), (cast.rome, "g")):
        for flag in flags:
            set_flag(organization_id=organization.pk, flag_key=flag, enabled=False)
    runner.run_next("propagation")
    job.refresh_from_db()
    assert (job.status, job.processed, job.superseded, job.unchanged) == ("COMPLETED", 4, 0, 0)
    rows = FlagState.objects.filter(organization=cast.rome).values_list("flag__key", "enabled")
    assert dict(rows) == {"f": True, "g": False}
