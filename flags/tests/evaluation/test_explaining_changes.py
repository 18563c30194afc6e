"""What explain says of the settings on a path: which one decides, and why the others do not."""

from __future__ import annotations

import pytest

from conftest import Cast
from flags.states.set_flag import set_flag
from flags.states.setting_rules import Below
from flags.tests.evaluation.test_api_check_and_explain import answer, define, put
from jobs.engine import runner
from orgs.tests.api import Api


@pytest.fixture
def api(cast: Cast, reader_key: str) -> Api:
    return Api(reader_key)


def test_an_ended_setting_says_which_change_ended_it_and_a_farther_one_which_is_nearer(api: Api, cast: Cast) -> None:
    define()
    put(cast.north, enabled=True)
    second, third = put(cast.acme, enabled=False), put(cast.oslo, enabled=True)
    acme, north, oslo = answer(api, "explain", organizationKey="oslo")["organizations"]
    nearer = f"the setting of the organization {cast.oslo.pk} is nearer: on"
    assert acme["why"] == f"Its value is off. For the organization {cast.oslo.pk}, {nearer}."
    assert north["why"] == f"Nothing is set here since change {second}."
    assert oslo["why"] == f"Its change {third} gives the stored value: on."
    acme, north, bergen = answer(api, "explain", organizationKey="bergen")["organizations"]
    assert acme["why"] == f"Its change {second} gives the stored value: off."
    assert bergen["why"] == "Nobody set it here."


def test_a_change_that_has_not_arrived_at_its_own_organization_is_told_beside_the_nearer_one(
    api: Api, cast: Cast
) -> None:
    define()
    first = put(cast.acme, enabled=True, carry=False)
    later = put(cast.oslo, enabled=False, carry=False)
    acme, north, oslo = answer(api, "explain", organizationKey="oslo")["organizations"]
    assert acme["why"] == f"Its change {first}, to on, has not arrived here."
    assert (north["why"], oslo["why"]) == (
        "Nobody set it here.", f"Its change {later} gives the stored value: off.",
    )  # fmt: skip


def test_a_lock_is_named_as_what_decides_and_the_settings_below_say_that_they_do_not_count(
    api: Api, cast: Cast
) -> None:
    define()
    put(cast.oslo, enabled=True)
    lock = set_flag(organization_id=cast.acme.pk, flag_key="new-ui", enabled=False, below=Below.LOCK).change.number
    runner.run_next("propagation")
    found = answer(api, "explain", organizationKey="oslo")
    acme, _, oslo = found["organizations"]
    assert acme["why"] == f"Its lock, by change {lock}, gives the stored value: off."
    assert acme["setting"] == {
        "kind": "lock", "value": False, "variant": "", "reach": "below", "changeNumber": lock,
    }  # fmt: skip
    assert oslo["why"] == f"Its value, on, does not count below the lock of the organization {cast.acme.pk}."
    assert [entry["decides"] for entry in found["organizations"]] == [True, False, False]


def test_a_value_for_one_organization_alone_says_so(api: Api, cast: Cast) -> None:
    define()
    put(cast.acme, enabled=False)
    set_flag(organization_id=cast.north.pk, flag_key="new-ui", enabled=True, below=Below.KEEP, only_here=True)
    runner.run_next("propagation")
    acme, north, _ = answer(api, "explain", organizationKey="oslo")["organizations"]
    assert (acme["decides"], north["why"]) == (True, "Its value, on, counts for this organization alone.")
