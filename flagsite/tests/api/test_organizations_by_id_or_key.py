"""An organization is named by its id or its key at every door, and a number never means another one than before."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import get_resolver, reverse

from conftest import Cast
from flags.definitions.models import Flag
from flags.serving.evaluation_cache import EvaluationCache
from flags.states.set_flag import set_flag
from flags.tests.serving.asking import FLAGS, Asking
from flagsite.core.db.clock import now
from flagsite.tests.api.test_api_access_everywhere import patterns
from orgs.access import access_keys
from orgs.access.models import Role
from orgs.tests.api import Api, kind_of
from orgs.tests.commands import run
from orgs.tests.people import signed_in
from orgs.tree import tree_operations
from orgs.tree.models import Organization
from orgs.tree.references import parse_reference

pytestmark = pytest.mark.django_db
FREE_ID = 2**40
"""What no organization has as its id."""
DOORS: dict[str, Callable[[Api, str], Any]] = {
    "an organization": lambda api, name: api.get(f"/organizations/{name}"),
    "its ancestors": lambda api, name: api.get(f"/organizations/{name}/ancestors"),
    "its descendants": lambda api, name: api.get(f"/organizations/{name}/descendants"),
    "its flags": lambda api, name: api.get(f"/organizations/{name}/flags"),
    "its settings": lambda api, name: api.get(f"/v1/organizations/{name}/settings"),
    "settings of a flag": lambda api, name: api.get("/v1/feature-flags/checkout/settings", organizationId=name),
    "its jobs": lambda api, name: api.get(f"/jobs/{name}"),
    "a flag of it": lambda api, name: api.get(f"/{name}/checkout"),
    "setting a flag": lambda api, name: api.post(f"/{name}/checkout/true"),
    "renaming": lambda api, name: api.patch(f"/organizations/{name}", {"name": "Renamed"}),
    "deleting": lambda api, name: api.delete(f"/organizations/{name}?subtree=true"),
    "a new parent": lambda api, name: api.post("/organizations", {"name": "N", "key": "n", "parentId": name}),
    "a move": lambda api, name: api.patch("/organizations/rome", {"parentId": name}),
    "a list's parent": lambda api, name: api.get("/organizations", parent=name),
    "a check": lambda api, name: api.get("/v1/feature-flags/checkout/check", organizationId=name),
    "a check by body": lambda api, name: api.post("/v1/feature-flags/checkout/check", {"organizationId": name}),
    "an explanation": lambda api, name: api.get("/v1/feature-flags/checkout/explain", organizationId=name),
    "adoption": lambda api, name: api.get("/v1/feature-flags/checkout/adoption", organizationId=name),
    "the list of schedules": lambda api, name: api.get("/v1/schedules", organizationId=name),
    "a new schedule": lambda api, name: api.post(
        "/v1/schedules",
        {"featureFlagName": "checkout", "organizationId": name, "apply": {"enabled": True},
         "scheduledAt": (now() + timedelta(days=1)).isoformat()},
    ),
}  # fmt: skip


@pytest.fixture
def api(admin_key: str) -> Api:
    return Api(admin_key)


@pytest.fixture
def flag(cast: Cast) -> Flag:
    set_flag(organization_id=cast.rival.pk, flag_key="checkout", enabled=True)
    return Flag.objects.get()


@pytest.fixture
def twin(cast: Cast) -> Organization:
    """The key of this organization is the id of Oslo."""
    return tree_operations.create(name="Twin", key=str(cast.oslo.pk), parent_id=cast.rival.pk)


@pytest.mark.parametrize("door", DOORS)
def test_each_door_takes_an_id_and_a_key_and_refuses_an_ambiguous_number(
    cast: Cast, flag: Flag, twin: Organization, api: Api, door: str
) -> None:
    ask, oslo = DOORS[door], cast.oslo.pk
    refused = ask(api, str(oslo))
    assert (refused.status_code, kind_of(refused)) == (409, "organization-ambiguous")
    assert f"Write id:{oslo} for the id or key:{oslo} for the key." in refused.json()["detail"]
    assert kind_of(ask(api, "nowhere")) == "organization-not-found"
    for name in (str(cast.bergen.pk), "south", f"id:{oslo}", f"key:{oslo}"):
        assert ask(api, name).status_code < 300, name
        Organization.objects.filter(key="n").delete()


def test_a_name_says_which_of_two_organizations_is_meant(cast: Cast, twin: Organization, api: Api) -> None:
    oslo = cast.oslo.pk
    assert api.get(f"/organizations/id:{oslo}").json()["key"] == "oslo"
    assert api.get(f"/organizations/key:{oslo}").json()["id"] == twin.pk
    moved = api.patch("/organizations/rome", {"parentId": oslo})  # a number in JSON is an id
    assert moved.json()["parentId"] == oslo
    assert api.patch("/organizations/rome", {"parentId": f"key:{oslo}"}).json()["parentId"] == twin.pk


def test_a_number_that_is_only_a_key_is_refused_before_and_after_an_organization_gets_it_as_its_id(
    cast: Cast, api: Api
) -> None:
    digits = tree_operations.create(name="Digits", key=str(FREE_ID), parent_id=None)
    before = api.get(f"/organizations/{FREE_ID}")
    assert (before.status_code, kind_of(before)) == (409, "organization-ambiguous")
    Organization.objects.create(pk=FREE_ID, name="Newcomer", key="newcomer")
    assert kind_of(api.get(f"/organizations/{FREE_ID}")) == "organization-ambiguous"
    assert api.get(f"/organizations/key:{FREE_ID}").json()["id"] == digits.pk


def test_an_organization_whose_key_is_its_own_id_is_not_ambiguous(cast: Cast, api: Api) -> None:
    Organization.objects.create(pk=FREE_ID, name="Itself", key=str(FREE_ID))
    assert api.get(f"/organizations/{FREE_ID}").json()["name"] == "Itself"


@pytest.mark.parametrize("key", ["id:7", "key:x", "007", "0", str(2**63), "ø æ", "a.b", "50%", "v1", "organizations"])
def test_the_form_with_key_names_every_key(api: Api, cast: Cast, key: str) -> None:
    made = api.post("/organizations", {"name": "Odd", "key": key}).json()
    path = f"key:{key}".replace("%", "%25")
    assert api.get(f"/organizations/{path}").json()["id"] == made["id"]
    assert api.post(f"/{path}/checkout/true").json()["featureFlag"]["organizationId"] == made["id"]


@pytest.mark.parametrize("name", ["id:", "id:x", "id:007", "id:-1", "key:", "id: 7", "x" * 400, "%ED%A0%BD", "%FF"])
def test_what_can_name_nothing_is_not_found(api: Api, name: str) -> None:
    assert kind_of(api.get(f"/organizations/{name}")) == "organization-not-found"


def test_the_first_words_of_other_paths_are_no_organizations_unless_the_form_says_so(api: Api, cast: Cast) -> None:
    words = {path.partition("/")[0] for path, _ in patterns(get_resolver())} | {"ofrep", "static"}
    for word in sorted(word for word in words if word and "<" not in word):
        tree_operations.create(name="Odd", key=word, parent_id=None)
        assert api.post(f"/{word}/checkout/true").status_code in {302, 404}, word
        assert api.post(f"/key:{word}/checkout/true").status_code == 200, word


def test_a_bound_caller_learns_nothing_of_organizations_outside_its_subtree(
    cast: Cast, twin: Organization, acme_key: str
) -> None:
    hidden = tree_operations.create(name="Hidden", key=str(FREE_ID), parent_id=cast.rival.pk)
    own = tree_operations.create(name="Own", key=str(hidden.pk), parent_id=cast.acme.pk)
    acme = Api(acme_key)
    assert acme.get(f"/organizations/{cast.oslo.pk}").json()["key"] == "oslo"  # the twin is another customer's
    absent, foreign = acme.get(f"/organizations/{2**50}"), acme.get(f"/organizations/{FREE_ID}")
    assert (absent.status_code, absent.json()) == (foreign.status_code, foreign.json())
    ambiguous = acme.get(f"/organizations/{hidden.pk}")
    assert ambiguous.json()["detail"].startswith(f"{hidden.pk} is ambiguous: no organization has this id")
    assert acme.get(f"/organizations/key:{hidden.pk}").json()["id"] == own.pk


@pytest.mark.parametrize("where", ["path", "context"])
def test_ofrep_takes_the_same_names(cast: Cast, flag: Flag, twin: Organization, admin_key: str, where: str) -> None:
    def ask(name: str, key: str = admin_key) -> Any:
        context = {"targetingKey": "joe"} | ({"organizationId": name} if where == "context" else {})
        return Asking(key).post((f"/organizations/{name}" if where == "path" else "") + FLAGS, {"context": context})

    oslo = cast.oslo.pk
    names = {"oslo": oslo, f"id:{oslo}": oslo, f"key:{oslo}": twin.pk, str(cast.rome.pk): cast.rome.pk}
    for name, expected in names.items():
        assert ask(name).body["metadata"] == {"organizationId": expected}, name
    refused = ask(str(oslo))
    assert (refused.status, refused.body["errorCode"]) == (400, "INVALID_CONTEXT")
    assert f"Write id:{oslo} for the id or key:{oslo} for the key." in refused.body["errorDetails"]
    _, bound = access_keys.create(name="acme", role=Role.READER, organization=cast.acme)
    assert ask(str(oslo), bound).body["metadata"] == {"organizationId": oslo}


def test_a_bare_id_that_is_cached_takes_no_query(cast: Cast, django_assert_num_queries: Any) -> None:
    cache, oslo = EvaluationCache(), parse_reference(str(cast.oslo.pk))
    cache.snapshot_named(oslo)
    with django_assert_num_queries(0):
        assert cache.snapshot_named(oslo).keys[-1] == "oslo"


@pytest.mark.parametrize(
    "command",
    [
        ("set_flag", "{}", "checkout", "on"), ("flag_state", "{}"), ("schedules", "--organization", "{}"),
        ("schedule_flag", "{}", "checkout", "on", "--at", "2h"), ("jobs", "--organization", "{}"),
        ("retry_failed", "--organization", "{}"), ("create_key", "sync", "--organization", "{}"),
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_commands_take_the_same_names(cast: Cast, flag: Flag, twin: Organization, command: tuple[str, ...]) -> None:
    def give(name: str) -> Any:
        return run(*(word.format(name) for word in command))

    assert f"Write id:{cast.oslo.pk} for the id" in give(str(cast.oslo.pk)).error
    for name in (str(cast.rome.pk), "rome", f"id:{cast.oslo.pk}", f"key:{cast.oslo.pk}"):
        assert give(name).error == ""


def test_the_admin_site_finds_organizations_by_the_same_names_and_refuses_an_ambiguous_number(
    cast: Cast, flag: Flag, twin: Organization
) -> None:
    person: Client = signed_in("admin")
    number = cast.oslo.pk
    tree = reverse("admin:orgs_organization_changelist")
    for term, found in ((f"id:{number}", ["oslo"]), (f"key:{number}", [twin.key]), (str(number), ["oslo", twin.key])):
        hits = [hit.key for hit, _ in person.get(tree, {"q": term}).context["hits"]]
        assert hits[: len(found)] == found
    for address, parameter in (("admin:jobs_job_changelist", "below"), ("admin:orgs_auditentry_changelist", "of")):
        page = person.get(reverse(address), {parameter: number}).content.decode()
        assert f"Write id:{number} for the id or key:{number} for the key." in page
        assert "Write id:" not in person.get(reverse(address), {parameter: f"id:{number}"}).content.decode()
    move = reverse("admin:orgs_organization_operation", args=[cast.rome.pk, "move"])
    assert f"Write id:{number} for the id" in person.post(move, {"parent": number}).content.decode()
