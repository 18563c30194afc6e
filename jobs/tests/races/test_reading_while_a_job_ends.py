"""A job that ends while somebody reads it is told as it was or as it is, not half and half."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from conftest import Cast
from jobs.api import views
from jobs.engine import chains, lifecycle
from jobs.engine.chains import TrackedJob
from jobs.engine.models import Job
from jobs.tests.engine_steps import changed, claimed, lease_of
from jobs.tests.races.threads import Background
from orgs.tests.api import Api

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("listed", [False, True])
def test_an_attempt_and_its_chain_are_read_at_one_moment(
    cast: Cast, admin_key: str, monkeypatch: pytest.MonkeyPatch, listed: bool
) -> None:
    job = changed(claimed(), organization_id=cast.oslo.pk)

    def tracked_when_it_has_ended_meanwhile(jobs: Sequence[Job]) -> list[TrackedJob]:
        Background(lambda: lifecycle.complete(job_id=job.pk, lease=lease_of(job))).result()
        return chains.tracked(jobs)

    monkeypatch.setattr(views, "tracked", tracked_when_it_has_ended_meanwhile)
    answer = Api(admin_key).get(f"/jobs/{cast.oslo.pk}" if listed else f"/job-status/{job.pk}").json()
    shown = answer["results"][0] if listed else answer
    assert (shown["status"], shown["chain"]["status"]) == ("IN_PROGRESS", "IN_PROGRESS")
    monkeypatch.undo()
    assert Api(admin_key).get(f"/job-status/{job.pk}").json()["chain"]["status"] == "COMPLETED"
