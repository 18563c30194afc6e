"""For an access key with the role client, only flags exist that are available to clients."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import Cast
from flags.definitions.models import Flag
from flags.evaluation.engine import StateValue
from flags.serving.cache_events import StatesWritten
from flags.states.models import FlagState
from flags.states.sql import next_number
from flags.tests.serving.asking import Asking
from orgs.access.models import AccessKey, Role
from orgs.tests.api import Api, kind_of
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db
BASE = "/v1/feature-flags"


def key_of(role: Role, organization: Organization | None = None) -> str:
    return str(AccessKey.objects.create_key(name=role, role=role, organization=organization)[1])


@pytest.fixture
def client(cast: Cast) -> Asking:
    """Somebody who has read the access key in a page of acme."""
    return Asking(key_of(Role.CLIENT, cast.acme))


@pytest.fixture
def shown(cast: Cast) -> Flag:
    return Flag.objects.create(key="shown", enabled=True, available_to_clients=True)


@pytest.fixture
def hidden(cast: Cast) -> Flag:
    return Flag.objects.create(key="hidden", enabled=True)


def keys(answer: Any) -> list[str]:
    return [flag["key"] for flag in answer.body["flags"]]


def write(asking: Asking, organization: Organization, flag: Flag, *, enabled: bool) -> None:
    """Set the flag on the organization, and tell the evaluation cache."""
    state = StateValue(flag.pk, enabled, organization.pk, next_number())
    FlagState.objects.filter(organization=organization, flag=flag).delete()
    FlagState.objects.create(
        organization=organization, flag=flag, source=organization, change_number=state.number, enabled=enabled
    )
    asking.cache.notify(StatesWritten(organization.pk, organization.pk - 1, organization.pk, state))


def test_a_client_gets_the_flags_that_are_available_to_clients(
    cast: Cast, client: Asking, shown: Flag, hidden: Flag
) -> None:
    assert keys(client.all(targetingKey="joe")) == ["shown"]
    assert client.one("shown", targetingKey="joe").body["value"] is True


def test_another_flag_does_not_exist_for_a_client(cast: Cast, client: Asking, shown: Flag, hidden: Flag) -> None:
    other, none = client.one("hidden", targetingKey="joe"), client.one("missing", targetingKey="joe")
    assert other.status == 404
    assert other.body == {name: value.replace("missing", "hidden") for name, value in none.body.items()}
    api = Api(client.key)
    other, none = api.get(f"{BASE}/hidden/check", userId="joe"), api.get(f"{BASE}/missing/check", userId="joe")
    assert (other.status_code, other.json()) == (404, none.json() | {"detail": "There is no flag 'hidden'."})
    assert api.get(f"{BASE}/shown/check", userId="joe").json()["enabled"]


def test_an_evaluator_and_a_reader_get_all_flags(cast: Cast, shown: Flag, hidden: Flag) -> None:
    for role in (Role.EVALUATOR, Role.READER):
        asking = Asking(key_of(role, cast.acme))
        assert keys(asking.all(targetingKey="joe")) == ["hidden", "shown"]
        assert asking.one("hidden", targetingKey="joe").status == 200
        assert Api(asking.key).get(f"{BASE}/hidden/check", userId="joe").status_code == 200


def test_a_flag_appears_and_disappears_with_its_availability(cast: Cast, client: Asking, hidden: Flag) -> None:
    for available in (True, False):
        tag = client.all(targetingKey="joe").headers["ETag"]
        Flag.objects.update(available_to_clients=available)
        client.cache.reload_definitions()
        answer = client.all(targetingKey="joe", headers={"If-None-Match": tag})
        assert (answer.status, keys(answer)) == (200, ["hidden"] * available)


def test_a_prerequisite_counts_that_is_not_available_to_clients(cast: Cast, client: Asking, shown: Flag) -> None:
    deepest = Flag.objects.create(key="deepest", enabled=True)
    needed = Flag.objects.create(key="needed", enabled=True)
    needed.prerequisites.add(deepest)
    shown.prerequisites.add(needed)
    assert client.all(targetingKey="joe").body["flags"][0]["value"] is True
    tag = client.all(targetingKey="joe").headers["ETag"]
    write(client, cast.acme, deepest, enabled=False)
    for answer in (client.all(targetingKey="joe", headers={"If-None-Match": tag}), client.all(targetingKey="joe")):
        assert (answer.status, keys(answer)) == (200, ["shown"])
        assert (answer.body["flags"][0]["value"], answer.body["flags"][0]["metadata"]) == (
            False, {"rule": "prerequisite"},
        )  # fmt: skip
    assert client.one("needed", targetingKey="joe").status == 404


def test_no_error_names_a_prerequisite_that_does_not_exist_for_the_client(
    cast: Cast, client: Asking, shown: Flag, hidden: Flag
) -> None:
    Flag.objects.filter(pk=hidden.pk).update(rollout_percentage=50)
    shown.prerequisites.add(hidden)
    client.cache.reload_definitions()
    for answer in (client.one("shown"), client.all()):
        assert "TARGETING_KEY_MISSING" in str(answer.body)
        assert "hidden" not in str(answer.body)
    refused = Api(client.key).get(f"{BASE}/shown/check")
    assert (refused.status_code, kind_of(refused)) == (400, "targeting-key-missing")
    assert b"hidden" not in refused.content
    assert "'hidden'" in Asking(key_of(Role.EVALUATOR, cast.acme)).one("shown").body["errorDetails"]


def test_what_happens_to_other_flags_changes_neither_the_tag_nor_the_kept_answer(
    cast: Cast, client: Asking, shown: Flag, hidden: Flag
) -> None:
    tag = client.all(targetingKey="joe").headers["ETag"]

    def poll() -> int:
        return client.all(targetingKey="joe", headers={"If-None-Match": tag}).status

    assert [poll(), poll()] == [304, 304]  # the second by the kept request
    write(client, cast.acme, hidden, enabled=False)
    assert [poll(), poll()] == [304, 304]
    Flag.objects.filter(key="hidden").update(description="x", rollout_percentage=5, killed=True)
    Flag.objects.create(key="newer")
    client.cache.reload_definitions()
    assert [poll(), poll()] == [304, 304]
    assert client.all(targetingKey="joe").headers["ETag"] == tag
    write(client, cast.acme, shown, enabled=False)
    assert poll() == 200


def test_a_kept_request_of_a_client_ends_with_a_change_of_its_flags(cast: Cast, client: Asking, shown: Flag) -> None:
    tag = client.all(targetingKey="joe").headers["ETag"]
    assert [client.all(targetingKey="joe", headers={"If-None-Match": tag}).status for _ in range(2)] == [304, 304]
    Flag.objects.update(killed=True)
    client.cache.reload_definitions()
    assert client.all(targetingKey="joe", headers={"If-None-Match": tag}).status == 200


def test_organizations_that_differ_in_other_flags_only_share_what_is_compiled(
    cast: Cast, client: Asking, shown: Flag, hidden: Flag
) -> None:
    for number, organization in enumerate(cast.of_acme):
        write(client, organization, hidden, enabled=number % 2 == 0)
        assert keys(client.all(organizationId=organization.pk)) == ["shown"]
    clients = client.cache.definitions().clients
    assert clients is not None
    assert len(clients.definitions.compiled[""].kept) == 1


@pytest.mark.parametrize("role", [Role.CLIENT, Role.EVALUATOR])
def test_a_key_that_evaluates_does_nothing_else(cast: Cast, shown: Flag, role: Role) -> None:
    api = Api(key_of(role, cast.acme))
    for path in (
        BASE, f"{BASE}/shown", f"{BASE}/shown/explain", f"{BASE}/shown/adoption", "/organizations",
        f"/organizations/{cast.acme.pk}", f"/organizations/{cast.acme.pk}/flags", f"/{cast.acme.pk}/shown",
        f"/jobs/{cast.acme.pk}", "/v1/schedules", "/metrics",
    ):  # fmt: skip
        refused = api.get(path)
        assert (refused.status_code, kind_of(refused)) == (403, "not-permitted"), path
    assert api.post(f"/{cast.acme.pk}/shown/true").status_code == 403


def test_roles_are_in_order() -> None:
    order = [Role.CLIENT, Role.EVALUATOR, Role.READER, Role.EDITOR, Role.OPERATOR, Role.ADMIN]
    assert list(Role) == order
    for number, role in enumerate(order):
        assert [needed for needed in order if role.includes(needed)] == order[: number + 1]
