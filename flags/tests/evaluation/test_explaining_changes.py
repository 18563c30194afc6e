"""What explain says of a change that a later one has overwritten, on its own organization or below."""

from __future__ import annotations

import pytest

from conftest import Cast
from flags.tests.evaluation.test_api_check_and_explain import answer, define, put
from orgs.tests.api import Api


@pytest.fixture
def api(cast: Cast, reader_key: str) -> Api:
    return Api(reader_key)


def test_a_change_that_a_later_one_overwrote_was_before_and_the_later_one_holds_there_too(api: Api, cast: Cast) -> None:
    define()
    first, second, third = put(cast.north, enabled=True), put(cast.acme, enabled=False), put(cast.oslo, enabled=True)
    acme, north, oslo = answer(api, "explain", organizationKey="oslo")["organizations"]
    later = (
        f"For the organization {cast.oslo.pk}, the later change {third} on the organization {cast.oslo.pk} holds: on."
    )
    assert acme["why"] == f"Its change {second} holds here: off. {later}"
    assert north["why"] == (
        f"The later change {second} on the organization {cast.acme.pk} holds here: off. "
        f"Its own change {first}, to on, was before. {later}"
    )
    assert oslo["why"] == f"Its change {third} gives the stored value: on."
    acme, north, bergen = answer(api, "explain", organizationKey="bergen")["organizations"]
    assert acme["why"] == f"Its change {second} gives the stored value: off."
    assert north["why"] == (
        f"The later change {second} on the organization {cast.acme.pk} holds here: off. "
        f"Its own change {first}, to on, was before."
    )
    assert bergen["why"] == "Nobody set it here."


def test_a_change_that_has_not_arrived_at_its_own_organization_is_told_beside_the_later_one(
    api: Api, cast: Cast
) -> None:
    define()
    first = put(cast.acme, enabled=True, carry=False)
    later = put(cast.oslo, enabled=False, carry=False)
    acme, north, oslo = answer(api, "explain", organizationKey="oslo")["organizations"]
    assert acme["why"] == (
        f"Its change {first}, to on, has not arrived here. For the organization {cast.oslo.pk}, the later change "
        f"{later} on the organization {cast.oslo.pk} holds: off."
    )
    assert (north["why"], oslo["why"]) == (
        "Nobody set it here.", f"Its change {later} gives the stored value: off.",
    )  # fmt: skip
