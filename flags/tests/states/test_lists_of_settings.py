"""The lists of settings: where a flag is set, locked or exempt, and what is set on an organization."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import Cast, _key
from flags.models import FlagSetting
from flags.states import listed_settings
from flags.states.set_flag import set_flag
from flags.states.setting_rules import Below
from jobs.engine import runner
from orgs.access.models import Role
from orgs.tests.api import Api, kind_of, wrong_fields
from orgs.tests.commands import run
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db
FLAG = "/v1/feature-flags/checkout/settings"


@pytest.fixture
def api(cast: Cast, admin_key: str) -> Api:
    """A lock on acme with settings below, from which south is exempt."""
    api = Api(admin_key)
    set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True, reason="pilot", requested_by="olga")
    set_flag(organization_id=cast.rome.pk, flag_key="checkout", enabled=True)
    set_flag(organization_id=cast.acme.pk, flag_key="checkout", enabled=False, below=Below.LOCK, reason="till broken")
    set_flag(organization_id=cast.rival.pk, flag_key="checkout", enabled=True, below=Below.KEEP)
    set_flag(organization_id=cast.oslo.pk, flag_key="search", enabled=False, below=Below.KEEP)
    exempted = api.put(f"/v1/organizations/{cast.south.key}/flags/checkout/exemption", {})
    assert exempted.status_code == 202
    while runner.run_next("propagation"):
        pass
    return api


def listed(api: Api, address: str, **query: Any) -> list[tuple[str, str, bool | None, bool]]:
    answer = api.get(address, **query)
    assert answer.status_code == 200, answer.content
    return [(row["organizationKey"], row["kind"], row["value"], row["decides"]) for row in answer.json()["results"]]


def of(organization: Organization) -> str:
    return f"/v1/organizations/{organization.pk}/settings"


def test_a_list_tells_all_settings_of_a_flag_and_which_of_them_decide(api: Api, cast: Cast) -> None:
    assert listed(api, FLAG) == [
        ("acme", "lock", False, True), ("oslo", "set", True, False), ("south", "exempt", None, False),
        ("rome", "set", True, True), ("rival", "set", True, True),
    ]  # fmt: skip
    oslo, south = [row for row in api.get(FLAG).json()["results"] if row["organizationKey"] in {"oslo", "south"}]
    assert (oslo["reason"], oslo["requestedBy"], oslo["reach"], oslo["featureFlag"]) == (
        "pilot", "olga", "below", "checkout",
    )  # fmt: skip
    assert (south["exemptFrom"], south["exemptUntil"]) == (cast.acme.pk, None)


@pytest.mark.parametrize(
    ("kind", "keys"), [("lock", ["acme"]), ("set", ["oslo", "rome", "rival"]), ("exempt", ["south"])]
)
def test_a_list_tells_one_kind(api: Api, kind: str, keys: list[str]) -> None:
    assert [row[0] for row in listed(api, FLAG, kind=kind)] == keys


@pytest.mark.parametrize("most", [0, 20_000])
def test_a_list_tells_what_is_at_and_below_an_organization(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(listed_settings, "MAX_ROWS_TO_SORT", most)
    assert [row[0] for row in listed(api, FLAG, organizationId="south")] == ["south", "rome"]
    first = api.get(FLAG, organizationId="acme", pageSize="3").json()
    assert [row["organizationKey"] for row in first["results"]] == ["acme", "oslo", "south"]
    assert [row["organizationKey"] for row in api.get(first["next"]).json()["results"]] == ["rome"]


def test_a_list_tells_what_is_set_on_one_organization(api: Api, cast: Cast) -> None:
    rows = api.get(of(cast.oslo)).json()["results"]
    assert [(row["featureFlag"], row["value"], row["decides"]) for row in rows] == [
        ("checkout", True, False), ("search", False, True),
    ]  # fmt: skip
    assert listed(api, of(cast.oslo), kind="lock") == listed(api, of(cast.bergen)) == []


def test_an_ended_setting_is_no_setting(api: Api, cast: Cast) -> None:
    assert api.delete(f"/v1/organizations/{cast.acme.key}/flags/checkout?subtree=true").status_code == 202
    assert [row[0] for row in listed(api, FLAG)] == ["rival"]
    assert FlagSetting.objects.filter(flag__key="checkout").count() == 5


def test_a_bound_key_sees_the_settings_of_its_subtree_and_no_name_above(api: Api, cast: Cast) -> None:
    south, north = (Api(_key(place.key, Role.READER, place)) for place in (cast.south, cast.north))
    assert [row[0] for row in listed(south, FLAG)] == ["south", "rome"]
    assert [row["exemptFrom"] for row in south.get(FLAG).json()["results"]] == [None, None]
    assert listed(north, FLAG) == [("oslo", "set", True, False)]
    assert listed(north, FLAG, kind="lock") == []
    for address, query in ((FLAG, {"organizationId": "south"}), (of(cast.south), {})):
        assert kind_of(north.get(address, **query)) == "organization-not-found"
    assert kind_of(south.get("/v1/feature-flags/search/settings")) == "flag-not-found"


def test_nonsense_is_refused(api: Api, cast: Cast) -> None:
    assert wrong_fields(api.get(FLAG, kind="none")) == {"kind"}
    assert wrong_fields(api.get(of(cast.oslo), flag="checkout")) == {"flag"}
    assert kind_of(api.get("/v1/feature-flags/nowhere/settings")) == "flag-not-found"


def test_the_command_lists_what_the_api_lists(api: Api, cast: Cast) -> None:
    assert run("settings", "--flag", "checkout", "--json").document["results"] == api.get(FLAG).json()["results"]
    (lock,) = run("settings", "--flag", "checkout", "--organization", "acme", "--kind", "lock", "--json").document[
        "results"
    ]
    assert lock["reason"] == "till broken"
    shown = run("settings", "--organization", "oslo").out
    assert "set on, masked by a lock above" in shown
    assert "set off" in shown
    assert run("settings", "--flag", "checkout", "--limit", 1).lines[-1].startswith("There are more than 1.")
    assert run("settings", "--organization", "bergen").lines == ["Nothing is set there."]
    assert run("settings").status == 1
