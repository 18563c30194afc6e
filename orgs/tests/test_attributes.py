"""Attributes of organizations: what holds where, and how the API, commands and pages change them."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import Cast, _key
from orgs.access.models import Role
from orgs.attributes import attribute_operations
from orgs.attributes.attribute_operations import attributes_of
from orgs.attributes.models import OrganizationAttribute
from orgs.audit.models import AuditEntry
from orgs.errors import AttributesChangedMeanwhile
from orgs.tests.api import Api, kind_of
from orgs.tests.commands import OLGA, run
from orgs.tests.people import SUPERUSER, signed_in
from orgs.tree import tree_operations
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(cast: Cast) -> Api:
    return Api(_key("admin", Role.ADMIN))


def address(organization: Organization) -> str:
    return f"/v1/organizations/{organization.pk}/attributes"


def give(organization: Organization, **values: Any) -> None:
    attribute_operations.change(organization_id=organization.pk, values=values)


NAMES = ["plan", "seats"]
VALUES = st.sampled_from(["pro", 3, True, 1.5, ["eu", "us"], None])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 6), st.sampled_from(NAMES), VALUES),
        st.tuples(st.just("remove"), st.integers(0, 6), st.sampled_from(NAMES), st.none()),
        st.tuples(st.just("move"), st.integers(1, 6), st.integers(0, 6), st.none()),
    ),
    max_size=12,
)


@given(STEPS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_holds_is_what_a_plain_walk_up_the_tree_finds_after_any_changes_and_moves(steps: list[Any]) -> None:
    Organization.objects.filter(key__startswith="walk-").delete()
    made = [tree_operations.create(name="0", key="walk-0")]
    for number in range(1, 7):
        made.append(
            tree_operations.create(name=str(number), key=f"walk-{number}", parent_id=made[(number - 1) // 2].pk)
        )
    parents: dict[int, int | None] = {number: (number - 1) // 2 if number else None for number in range(7)}
    own: dict[int, dict[str, Any]] = {number: {} for number in range(7)}

    def above(number: int) -> list[int]:
        parent = parents[number]
        return [number, *(above(parent) if parent is not None else [])]

    for step, number, what, value in steps:
        if step == "set":
            give(made[number], **{what: value})
            own[number][what] = value
        elif step == "remove":
            attribute_operations.change(organization_id=made[number].pk, values={}, remove=[what])
            own[number].pop(what, None)
        elif number not in above(what):
            tree_operations.move(organization_id=made[number].pk, parent_id=made[what].pk)
            parents[number] = what
    for number, organization in enumerate(made):
        expected: dict[str, Any] = {}
        for each in reversed(above(number)):
            expected |= own[each]
        held = attributes_of(organization.pk).held
        assert held == {name: value for name, value in expected.items() if value is not None}
        assert {name: type(value) for name, value in held.items()} == {
            name: type(value) for name, value in expected.items() if value is not None
        }


def test_get_returns_what_put_took_and_what_comes_from_above(cast: Cast, api: Api) -> None:
    give(cast.acme, plan="pro", country="NO")
    body = {"plan": None, "seats": 250, "share": 0.5, "beta": True, "regions": ["eu", "us"], "none": []}
    put = api.put(address(cast.oslo), {"attributes": body})
    assert put.status_code == 200
    read = api.get(address(cast.oslo))
    assert read.json() == put.json()
    assert read["ETag"] == put["ETag"]
    assert read.json()["attributes"] == body
    assert read.json()["inherited"] == [
        {"name": name, "value": value, "sourceOrganizationId": cast.acme.pk, "sourceOrganizationKey": "acme"}
        for name, value in (("country", "NO"), ("plan", "pro"))
    ]
    effective = {name: value for name, value in body.items() if value is not None} | {"country": "NO"}
    assert read.json()["effective"] == effective
    api.put(address(cast.oslo), {"attributes": {}})
    assert api.get(address(cast.oslo)).json()["effective"] == {"country": "NO", "plan": "pro"}


def test_patch_changes_what_it_names_and_the_audit_log_has_before_and_after(cast: Cast, api: Api) -> None:
    give(cast.oslo, plan="free", seats=3, tier="gold")
    answer = api.patch(
        address(cast.oslo), {"attributes": {"plan": "pro", "seats": 3}, "remove": ["tier", "gone"], "reason": "sold"}
    )
    assert answer.json()["attributes"] == {"plan": "pro", "seats": 3}
    entry = AuditEntry.objects.latest("id")
    assert (entry.action, entry.subject, entry.organization_id, entry.reason) == (
        "organization.attributes", "organization:oslo", cast.oslo.pk, "sold",
    )  # fmt: skip
    assert entry.details == {"before": {"plan": "free", "tier": "gold"}, "after": {"plan": "pro"}}
    before = AuditEntry.objects.count()
    api.patch(address(cast.oslo), {"attributes": {"plan": "pro"}})
    assert AuditEntry.objects.count() == before, "nothing has changed"
    api.patch(address(cast.oslo), {"attributes": {"seats": True}})
    assert api.get(address(cast.oslo)).json()["attributes"]["seats"] is True


def test_a_write_depends_on_the_version_that_if_match_names(cast: Cast, api: Api) -> None:
    tag = api.get(address(cast.oslo))["ETag"]
    assert api.send("GET", address(cast.oslo), If_None_Match=tag).status_code == 304
    give(cast.acme, plan="pro")
    assert api.send("GET", address(cast.oslo), If_None_Match=tag).status_code == 200
    refused = api.put(address(cast.oslo), {"attributes": {"a": 1}}, If_Match=tag)
    assert (refused.status_code, kind_of(refused)) == (412, "attributes-changed-meanwhile")
    assert attributes_of(cast.oslo.pk).own == {}
    tag = api.get(address(cast.oslo))["ETag"]
    for sent in (tag, "*"):
        assert api.put(address(cast.oslo), {"attributes": {"a": sent}}, If_Match=sent).status_code == 200
    with pytest.raises(AttributesChangedMeanwhile):
        attribute_operations.change(organization_id=cast.oslo.pk, values={"a": 2}, check=_refuse)
    assert attributes_of(cast.oslo.pk).own == {"a": "*"}


def _refuse() -> None:
    raise AttributesChangedMeanwhile


def test_a_repeated_request_with_the_same_key_gets_the_same_answer(cast: Cast, api: Api) -> None:
    first = api.patch(address(cast.oslo), {"attributes": {"plan": "pro"}}, Idempotency_Key="k")
    give(cast.oslo, plan="free")
    again = api.patch(address(cast.oslo), {"attributes": {"plan": "pro"}}, Idempotency_Key="k")
    assert (again.json(), again["ETag"]) == (first.json(), first["ETag"])
    assert attributes_of(cast.oslo.pk).own == {"plan": "free"}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"1plan": "pro"}, "'1plan' is no name of an attribute"),
        ({"a.b": "pro"}, "'a.b' is no name of an attribute"),
        ({"": "pro"}, "is no name of an attribute"),
        ({"a" * 65: "pro"}, "is no name of an attribute"),
        ({"plan": ""}, "does not have 1 to 1,000 characters"),
        ({"plan": "x" * 1001}, "does not have 1 to 1,000 characters"),
        ({"plan": "a\u0000b"}, "cannot be stored"),
        ({"plan": {"a": 1}}, "is no text, number, true, false, null or list of texts"),
        ({"plan": [1]}, "something else than texts"),
        ({"plan": ["a", ""]}, "does not have 1 to 1,000 characters"),
        ({"plan": ["a"] * 51}, "has 51 texts, more than 50"),
        ({"plan": 2**53}, "is no number from"),
        ({"plan": 1e300}, "is no number from"),
        ({"plan": 10**400}, "is no number from"),
        ({f"a{number}": 1 for number in range(51)}, "at most 50 attributes"),
        (["plan"], "Not an object"),
    ],
)
def test_what_no_attribute_can_be_is_refused(cast: Cast, api: Api, values: Any, words: str) -> None:
    for method in (api.put, api.patch):
        refused = method(address(cast.oslo), {"attributes": values})
        assert (refused.status_code, kind_of(refused)) == (400, "invalid-input")
        assert words in refused.text if hasattr(refused, "text") else words in refused.content.decode()
    assert not OrganizationAttribute.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"remove": ["a.b"]},
        {"remove": "plan"},
        {"attributes": {"plan": 1}, "remove": ["plan"]},
        {"attributes": None},
    ],
)
def test_a_patch_without_sense_is_refused(cast: Cast, api: Api, body: Any) -> None:
    refused = api.patch(address(cast.oslo), body)
    assert (refused.status_code, kind_of(refused)) == (400, "invalid-input")


def test_an_organization_has_at_most_fifty_of_its_own(cast: Cast, api: Api) -> None:
    give(cast.oslo, **{f"a{number}": number for number in range(50)})
    refused = api.patch(address(cast.oslo), {"attributes": {"more": 1}})
    assert (refused.status_code, kind_of(refused)) == (409, "too-many-attributes")
    assert api.patch(address(cast.oslo), {"attributes": {"more": 1}, "remove": ["a0"]}).status_code == 200


def test_a_bound_key_changes_its_subtree_only_and_sees_no_keys_above_it(cast: Cast) -> None:
    give(cast.acme, plan="pro")
    bound = Api(_key("north", Role.ADMIN, cast.north))
    assert kind_of(bound.get(address(cast.rome))) == "organization-not-found"
    assert kind_of(bound.put(address(cast.acme), {"attributes": {}})) == "organization-not-found"
    found = bound.patch(address(cast.oslo), {"attributes": {"seats": 1}}).json()
    (inherited,) = found["inherited"]
    assert (inherited["sourceOrganizationId"], inherited["sourceOrganizationKey"]) == (cast.acme.pk, None)
    assert found["effective"] == {"plan": "pro", "seats": 1}
    reader = Api(_key("reader", Role.EDITOR))
    assert kind_of(reader.patch(address(cast.oslo), {"attributes": {"a": 1}})) == "not-permitted"


def test_a_change_writes_the_rows_of_one_organization_whatever_is_below(cast: Cast) -> None:
    with CaptureQueriesContext(
        connection,
    ) as leaf:
        give(cast.oslo, plan="pro")
    with CaptureQueriesContext(connection) as root:
        give(cast.acme, plan="pro")
    assert len(root) == len(leaf)
    assert OrganizationAttribute.objects.count() == 2


def test_attributes_go_with_their_organization(cast: Cast) -> None:
    give(cast.north, plan="pro")
    give(cast.oslo, plan="free")
    give(cast.rome, plan="free")
    tree_operations.delete(organization_id=cast.north.pk, subtree=True)
    assert list(OrganizationAttribute.objects.values_list("organization_id", flat=True)) == [cast.rome.pk]


def test_they_go_too_when_a_process_that_does_not_know_them_deletes_the_organization(cast: Cast) -> None:
    give(cast.oslo, plan="free")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM orgs_organization WHERE id = %s", [cast.oslo.pk])
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert not OrganizationAttribute.objects.exists()


def test_commands_show_and_change_them(cast: Cast) -> None:
    give(cast.acme, plan="free", country="NO")
    changed = run("set_attributes", "oslo", '{"plan": "pro", "regions": ["eu", "us"]}', "--reason", "sold", "--json")
    assert changed.document["effective"] == {"country": "NO", "plan": "pro", "regions": ["eu", "us"]}
    assert AuditEntry.objects.latest("id").actor == OLGA
    shown = run("attributes", "oslo").out
    for words in ("eu, us", "itself", "free from acme", "country"):
        assert words in shown
    run("set_attributes", "oslo", "--remove", "plan")
    assert attributes_of(cast.oslo.pk).held["plan"] == "free"
    run("set_attributes", "oslo", '{"seats": null}', "--replace")
    assert attributes_of(cast.oslo.pk).own == {"seats": None}
    refused = run("set_attributes", "oslo", '{"plan": {}}')
    assert (refused.status, "is no text, number" in refused.error) == (1, True)
    assert "The organization has no attributes." in run("attributes", "rival").out


@pytest.mark.parametrize(
    ("sent", "own"),
    [
        ({"kind": "text", "value": " pro "}, {"plan": "pro"}),
        ({"kind": "number", "value": "250"}, {"plan": 250}),
        ({"kind": "number", "value": "0.5"}, {"plan": 0.5}),
        ({"kind": "boolean", "value": "true"}, {"plan": True}),
        ({"kind": "texts", "value": "eu\n us \n\n"}, {"plan": ["eu", "us"]}),
        ({"kind": "nothing", "value": "left over"}, {"plan": None}),
        ({"kind": "remove", "value": ""}, {}),
    ],
)
def test_a_person_sets_one_on_the_page_of_the_organization(cast: Cast, sent: dict[str, str], own: Any) -> None:
    give(cast.acme, plan="free")
    give(cast.oslo, plan="old")
    client = signed_in(SUPERUSER)
    form = reverse("admin:orgs_organization_operation", args=[cast.oslo.pk, "attribute"])
    assert 'value="plan"' in client.get(f"{form}?name=plan").content.decode()
    answer = client.post(form, {"name": "plan", "reason": "sold", **sent})
    assert answer.status_code == 302, answer.content.decode()
    assert attributes_of(cast.oslo.pk).own == own
    page = client.get(reverse("admin:orgs_organization_change", args=[cast.oslo.pk])).content.decode()
    assert ("instead of free from acme" in page) is bool(own)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"kind": "number", "value": "many"}, "Write a number"),
        ({"kind": "number", "value": "true"}, "Write a number"),
        ({"kind": "boolean", "value": "yes"}, "Write true or false"),
        ({"kind": "text", "value": ""}, "does not have 1 to 1,000 characters"),
        ({"kind": "text", "value": "x", "name": "a b"}, "is no name of an attribute"),
    ],
)
def test_a_form_that_makes_no_sense_says_so(cast: Cast, sent: dict[str, str], words: str) -> None:
    form = reverse("admin:orgs_organization_operation", args=[cast.oslo.pk, "attribute"])
    answer = signed_in(SUPERUSER).post(form, {"name": "plan", **sent})
    assert words in answer.content.decode()
    assert not OrganizationAttribute.objects.exists()
