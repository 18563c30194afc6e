"""Variants in moves that keep values, in plans, and in flag states that a job has left."""

from __future__ import annotations

import pytest

from conftest import Cast
from flags.definitions.models import Flag
from flags.tests.states.colors import address, carry_out, color_flag, put, rows
from orgs.tests.api import Api

pytestmark = pytest.mark.django_db


@pytest.fixture
def flag() -> Flag:
    return color_flag()


@pytest.fixture
def api(admin_key: str) -> Api:
    return Api(admin_key)


def test_a_move_that_keeps_the_values_keeps_the_inherited_variant(api: Api, cast: Cast, flag: Flag) -> None:
    put(api, cast.north, variant="red")
    moved = api.patch(f"/organizations/{cast.oslo.pk}", {"parentId": cast.south.pk, "materialise": True})
    assert moved.status_code in {200, 202}, moved.content
    carry_out()
    assert rows() == {"north": "red", "oslo": "red", "bergen": "red"}


def test_a_plan_counts_no_organization_that_gets_the_default_variant_again(api: Api, cast: Cast, flag: Flag) -> None:
    Flag.objects.update(enabled=True)
    plan = api.post(f"{address(cast.acme)}/plan", {"variant": "blue"}).json()
    assert (plan["changed"], plan["unchanged"]) == (0, 6)
    put(api, cast.oslo, enabled=True)
    assert api.post(f"{address(cast.oslo)}/plan", {"variant": "blue"}).json()["changed"] == 0
    assert api.post(f"{address(cast.acme)}/plan", {"variant": "red"}).json()["changed"] == 5


def test_a_variant_that_a_cancelled_job_has_left_somewhere_is_not_removed(api: Api, cast: Cast, flag: Flag) -> None:
    put(api, cast.acme, variant="red")
    job = api.put(address(cast.acme), {"variant": "blue"}).json()["jobId"]
    definition = "/v1/feature-flags/color"
    without_red = {"variants": [{"key": "blue", "value": "#00f"}]}
    under_way = api.patch(definition, without_red)
    assert under_way.json()["places"] == [{"place": "job", "variant": "red", "jobId": job}]
    assert api.post(f"/cancel-job/{job}").status_code == 200
    refused = api.patch(definition, without_red)
    assert refused.status_code == 409
    left = sorted(each.pk for each in cast.of_acme)
    assert refused.json()["places"] == [
        {"place": "state", "variant": "red", "organizationId": organization} for organization in left
    ]
    api.put(address(cast.acme), {"variant": "blue", "below": "overwrite"})
    carry_out()
    assert api.patch(definition, without_red).status_code == 200
