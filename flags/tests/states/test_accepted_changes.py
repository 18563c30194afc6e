"""A change that was accepted is done, whatever happens to the access key of its requester while it waits."""

from __future__ import annotations

from conftest import Cast
from flags.definitions import service
from flags.definitions.models import Flag
from flags.states.models import FlagState
from jobs.engine import runner
from jobs.engine.models import Job
from jobs.operations import queue_operations
from orgs.access import access_keys
from orgs.access.models import Role
from orgs.tests.api import Api


def test_a_flag_that_was_set_reaches_all_organizations_after_its_access_key_is_revoked(cast: Cast) -> None:
    service.create(key="checkout", values={}, by="user:olga")
    key, secret = access_keys.create(name="deploy", role=Role.EDITOR)
    queue_operations.pause(name="propagation", by="user:olga")
    job_id = Api(secret).post(f"/{cast.acme.pk}/checkout/true").json()["jobId"]
    assert runner.run_next("propagation") is None
    access_keys.revoke(prefix=key.prefix)
    queue_operations.resume(name="propagation", by="user:olga")
    runner.run_next("propagation")
    assert Job.objects.get(pk=job_id).status == "COMPLETED"
    states = FlagState.objects.filter(enabled=True).values_list("organization_id", flat=True)
    assert set(states) == {one.pk for one in cast.of_acme}


def test_a_purge_that_was_accepted_is_done_after_its_access_key_is_revoked(cast: Cast) -> None:
    service.create(key="checkout", values={}, by="user:olga")
    key, secret = access_keys.create(name="deploy", role=Role.ADMIN)
    api = Api(secret)
    api.delete("/v1/feature-flags/checkout")
    job_id = api.delete("/v1/feature-flags/checkout?purge=true").json()["jobId"]
    access_keys.revoke(prefix=key.prefix)
    while runner.run_next("default"):
        pass
    assert Job.objects.get(pk=job_id).status == "COMPLETED"
    assert not Flag.objects.exists()
