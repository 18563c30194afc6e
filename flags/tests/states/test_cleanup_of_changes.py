"""A clean-up of jobs leaves the changes of flags that they carried."""

from __future__ import annotations

import pytest

from conftest import Cast
from flags.states import selectors
from flags.states.models import Change, FlagState
from flags.states.set_flag import set_flag
from jobs.engine import runner
from jobs.engine.models import Job
from jobs.operations import cleanup
from jobs.tests.engine_steps import LONG_AGO

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_change_keeps_its_row_and_its_effect_when_its_job_goes(cast: Cast) -> None:
    accepted = set_flag(organization_id=cast.acme.pk, flag_key="checkout", enabled=True)
    runner.run_next("propagation")
    Job.objects.update(created_at=LONG_AGO, completed_at=LONG_AGO)
    cleanup.request()
    runner.run_next("cleanup")
    assert not Job.objects.filter(kind="propagation").exists()
    change = Change.objects.get(pk=accepted.change.pk)
    assert (change.job_id, change.enabled) == (None, True)
    assert FlagState.objects.filter(enabled=True).count() == len(cast.of_acme)
    assert selectors.effective_state(organization=cast.oslo, flag_key="checkout").enabled
