"""Every read of a flag says what holds, and the stored value beside it: over HTTP, by the command and on the pages."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conftest import Cast
from flags.definitions import service
from flags.states.set_flag import set_flag
from flags.tests.serving.asking import Asking
from jobs.engine.runner import run_next
from orgs.tests.api import Api
from orgs.tests.commands import run
from orgs.tests.people import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(cast: Cast, admin_key: str) -> Api:
    return Api(admin_key)


@pytest.fixture
def asking(admin_key: str) -> Asking:
    return Asking(admin_key)


def define(key: str = "f", **values: Any) -> None:
    service.create(key=key, values=values, by="user:olga")


def put(organization_id: int, key: str = "f", *, enabled: bool = True) -> None:
    set_flag(organization_id=organization_id, flag_key=key, enabled=enabled)
    while run_next("propagation"):
        pass


def read(api: Api, organization_id: int, key: str = "f", **options: Any) -> dict[str, Any]:
    """The flag, which the single read, the list and the command say alike."""
    found: dict[str, Any] = api.get(f"/{organization_id}/{key}", **options).json()["featureFlag"]
    listed = api.get(f"/organizations/{organization_id}/flags", **options).json()["results"]
    assert [one["featureFlag"] for one in listed if one["featureFlag"]["name"] == key] in ([found], [])
    named = {"--environment": options["environment"]} if options else {}
    document = run("flag_state", organization_id, key, "--json", *(part for pair in named.items() for part in pair))
    common = ("enabled", "storedValue", "reason", "rule", "dependsOnUser", "rolloutPercentage")
    assert {name: document.document[name] for name in common} == {name: found[name] for name in common}
    return found


STOPPED = {
    "killed": ({"killed": True}, "DISABLED", "killed"),
    "archived": ({"archived": True}, "DISABLED", "archived"),
    "a prerequisite killed": ({"prerequisites": ["needed"]}, "TARGETING_MATCH", "prerequisite"),
    "an override passed over": (
        {"prerequisites": ["needed"], "environments": {"staging": True}}, "TARGETING_MATCH", "prerequisite",
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", STOPPED)
def test_a_flag_that_is_stopped_is_off_and_its_stored_value_stays(
    api: Api, asking: Asking, cast: Cast, how: str
) -> None:
    values, reason, rule = STOPPED[how]
    define("needed", enabled=True, killed=True)
    define()
    put(cast.acme.pk)
    service.update(key="f", values=values, by="user:olga")
    for environment in (None, "staging"):
        options = {"environment": environment} if environment else {}
        found = read(api, cast.oslo.pk, **options)
        assert (found["enabled"], found["storedValue"]) == (False, True)
        assert (found["reason"], found["rule"], found["dependsOnUser"]) == (reason, rule, False)
        evaluated = asking.one("f", organizationKey="oslo", targetingKey="u", environment=environment).body
        assert (evaluated["value"], evaluated["reason"]) == (False, reason)


def test_a_prerequisite_counts_with_its_value_in_the_same_organization(api: Api, cast: Cast) -> None:
    define("needed")
    define(prerequisites=["needed"])
    put(cast.acme.pk)
    put(cast.oslo.pk, "needed")
    assert [read(api, one.pk)["enabled"] for one in (cast.oslo, cast.bergen)] == [True, False]
    assert read(api, cast.bergen.pk)["rule"] == "prerequisite"


def test_a_prerequisite_of_a_prerequisite_counts(api: Api, cast: Cast) -> None:
    define("bottom", enabled=True, killed=True)
    define("middle", enabled=True, prerequisites=["bottom"])
    define(enabled=True, prerequisites=["middle"])
    assert (read(api, cast.oslo.pk)["enabled"], read(api, cast.oslo.pk)["rule"]) == (False, "prerequisite")


def test_a_rollout_tells_that_the_user_decides(api: Api, cast: Cast) -> None:
    define(rollout_percentage=12.5)
    put(cast.oslo.pk)
    found = read(api, cast.oslo.pk)
    assert (found["enabled"], found["reason"], found["dependsOnUser"], found["rolloutPercentage"]) == (
        True, "SPLIT", True, 12.5,
    )  # fmt: skip
    put(cast.oslo.pk, enabled=False)
    found = read(api, cast.oslo.pk)
    assert (found["enabled"], found["dependsOnUser"], found["rolloutPercentage"]) == (False, False, None)


@pytest.mark.parametrize("unit", ["organization", "ancestor"])
def test_a_rollout_of_organizations_is_decided(api: Api, asking: Asking, cast: Cast, unit: str) -> None:
    define(enabled=True, rollout_percentage=50, rollout_unit=unit, rollout_level=1 if unit == "ancestor" else None)
    for organization in (*cast.of_acme, cast.rival, cast.rival_store):
        found = read(api, organization.pk)
        evaluated = asking.one("f", organizationKey=organization.key).body
        assert (found["enabled"], found["reason"]) == (evaluated["value"], "SPLIT")
        assert (found["dependsOnUser"], found["rolloutPercentage"]) == (False, None)


def test_a_whitelist_tells_that_the_user_decides(api: Api, cast: Cast) -> None:
    define(whitelist=[f"user-{number}" for number in range(50)])
    assert (read(api, cast.oslo.pk)["enabled"], read(api, cast.oslo.pk)["dependsOnUser"]) == (False, True)


def test_an_override_counts_in_the_environment_that_the_read_names(api: Api, cast: Cast) -> None:
    define(environments={"staging": True, "production": False})
    put(cast.oslo.pk)
    values = {name: read(api, cast.oslo.pk, environment=name) for name in ("staging", "production", "elsewhere", "")}
    assert {name: (found["enabled"], found["storedValue"], found["rule"]) for name, found in values.items()} == {
        "staging": (True, True, "environment"),
        "production": (False, True, "environment"),
        "elsewhere": (True, True, "organization"),
        "": (True, True, "organization"),
    }


def test_setting_a_killed_flag_does_not_say_that_it_is_on(api: Api, cast: Cast) -> None:
    define(killed=True)
    answer = api.post(f"/{cast.oslo.pk}/f/true").json()
    flag = answer["featureFlag"]
    assert (flag["enabled"], flag["storedValue"], flag["reason"]) == (False, True, "DISABLED")
    begun = api.post(f"/{cast.acme.pk}/f/true").json()
    assert (begun["enabled"], begun["offForEverybody"]) == (True, "killed")
    leaf = run("set_flag", "oslo", "f", "on")
    assert leaf.out == (
        f"f is off (The flag is killed. The stored value is on) for oslo (id {cast.oslo.pk}). "
        "There is nothing below it.\n"
    )
    assert run("set_flag", "acme", "f", "on", "--json").document["offForEverybody"] == "killed"
    assert run("set_flag", "acme", "f", "on").lines[-1] == (
        "Until this changes, f is off for everybody: The flag is killed."
    )


def test_the_command_and_the_page_say_why_a_flag_is_off(api: Api, cast: Cast) -> None:
    define()
    put(cast.oslo.pk)
    service.update(key="f", values={"killed": True}, by="user:olga")
    assert run("flag_state", "oslo", "f").out.startswith(f"f is off for oslo (id {cast.oslo.pk}): set here, since ")
    assert run("flag_state", "oslo", "f").out.endswith("UTC. The flag is killed. The stored value is on.\n")
    assert run("flag_state", "oslo").lines[1].split()[:5] == ["f", "off", "on", "set", "here"]
    page = signed_in("viewer").get(f"/admin/orgs/organization/{cast.oslo.pk}/change/").content.decode()
    assert '<span class="fs-status fs-status-OFF">off</span>' in page
    assert '<span class="fs-note">The flag is killed.</span>' in page
    assert 'data-label="Stored value">on</td>' in page


def test_the_switch_and_the_preview_of_a_move_say_that_a_killed_flag_stays_off(cast: Cast) -> None:
    define(killed=True)
    put(cast.south.pk)
    client = signed_in("admin")
    asked = {"flag": "f", "enabled": "true", "reason": "x"}
    page = client.post(f"/admin/flags/flag/set/{cast.acme.pk}/", asked).content.decode()
    assert "It stays off for everybody until this changes: The flag is killed." in page
    moved = client.post(f"/admin/orgs/organization/{cast.oslo.pk}/move/do/", {"parent": "south"}).content.decode()
    assert "1 organization gets another stored value of f. It stays off for everybody: " in moved


@pytest.mark.parametrize("prerequisites", [0, 1, 12])
def test_a_read_takes_as_many_queries_however_many_flags_count(api: Api, cast: Cast, prerequisites: int) -> None:
    names = [f"p{number}" for number in range(prerequisites)]
    for name in names:
        define(name)
        put(cast.oslo.pk, name)
    define(prerequisites=names)
    put(cast.oslo.pk)
    api.get(f"/{cast.oslo.pk}/f")  # the first use of the key is recorded
    with CaptureQueriesContext(connection) as queries:
        assert api.get(f"/{cast.oslo.pk}/f").json()["featureFlag"]["enabled"] is True
    assert len(queries) == 4  # the key, the organization, the definitions, the states


def test_the_list_knows_prerequisites_that_are_on_another_page(api: Api, cast: Cast) -> None:
    for number in range(4):
        define(f"f{number}", prerequisites=[f"f{number - 1}"] if number else [])
        put(cast.oslo.pk, f"f{number}", enabled=number > 0)
    page = api.get(f"/organizations/{cast.oslo.pk}/flags", pageSize=2).json()
    rows = page["results"] + api.client.get(page["next"]).json()["results"]
    assert [row["featureFlag"]["rule"] for row in rows] == ["organization", *["prerequisite"] * 3]
