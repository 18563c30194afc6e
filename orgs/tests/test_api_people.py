"""People over HTTP and by commands: listed, created, put into groups, bound to organizations, deactivated."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from conftest import Cast
from orgs.access import access_keys, people_operations
from orgs.access.caller import Caller
from orgs.access.models import Role, StaffScope
from orgs.access.people import caller_for
from orgs.audit.models import AuditEntry
from orgs.errors import MoreThanYouMay
from orgs.idempotency.models import IdempotentRequest
from orgs.tests.api import Api, kind_of, wrong_fields
from orgs.tests.commands import run
from orgs.tests.people import SUPERUSER, person

PEOPLE = "/v1/people"


@pytest.fixture
def api(cast: Cast, admin_key: str) -> Api:
    return Api(admin_key)


@pytest.fixture
def bound(cast: Cast) -> Api:
    return Api(access_keys.create(name="north", role=Role.ADMIN, organization=cast.north)[1])


def created(api: Api, **body: Any) -> dict[str, Any]:
    response = api.post(PEOPLE, {"username": "alice", "groups": ["operator"], **body})
    assert response.status_code == 201, response.content
    answer: dict[str, Any] = response.json()
    return answer


def names(api: Api, **query: Any) -> list[str]:
    return [row["username"] for row in api.get(PEOPLE, **query).json()["results"]]


def signs_in(username: str, password: str) -> bool:
    """Whether the password opens the admin site; without the sign-in page, which limits failed attempts."""
    client = Client()
    return client.login(username=username, password=password) and client.get("/admin/").status_code == 200


def test_a_person_is_created_and_signs_in_with_the_password_that_is_shown_once(api: Api, cast: Cast) -> None:
    response = api.post(
        PEOPLE, {"username": "alice", "groups": ["operator"], "organizationId": cast.north.pk, "reason": "new"}
    )
    answer = response.json()
    assert (response.status_code, response["Location"]) == (201, f"{PEOPLE}/alice")
    assert "no-store" in response["Cache-Control"]
    password = answer.pop("password")
    assert signs_in("alice", password)
    read = api.get(f"{PEOPLE}/alice").json()
    assert read == answer | {"lastLoginAt": read["lastLoginAt"]}
    caller = caller_for(User.objects.get(username="alice"))
    assert caller is not None
    assert (caller.role, caller.organization_id) == (Role.OPERATOR, cast.north.pk)
    entry = AuditEntry.objects.latest("id")
    assert (entry.action, entry.subject, entry.reason) == ("user.create", "user:alice", "new")
    assert entry.organization_id == cast.north.pk
    assert password not in str(list(AuditEntry.objects.values())) + str(list(User.objects.values()))


def test_a_repeated_request_does_not_store_the_password(api: Api) -> None:
    body = {"username": "alice", "groups": []}
    first, second = (api.post(PEOPLE, body, Idempotency_Key="k") for _ in range(2))
    assert second.json() == first.json() | {"password": None}
    assert first.json()["password"] not in str(list(IdempotentRequest.objects.values()))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"username": "a b"}, "username"),
        ({"username": ""}, "username"),
        ({"username": "x" * 151}, "username"),
        ({"groups": ["king"]}, "groups.0"),
        ({"groups": "admin"}, "groups"),
        ({"email": "nobody"}, "email"),
        ({"superuser": True}, "superuser"),
        ({"password": "mine"}, "password"),
    ],
)
def test_a_person_that_makes_no_sense_is_refused(api: Api, body: dict[str, Any], field: str) -> None:
    assert wrong_fields(api.post(PEOPLE, {"username": "alice", "groups": ["viewer"]} | body)) == {field}
    assert not User.objects.exists()


def test_a_username_belongs_to_one_person_for_ever(api: Api) -> None:
    created(api)
    assert kind_of(api.post(PEOPLE, {"username": "alice", "groups": []})) == "person-exists"


def test_groups_scope_and_names_change_and_the_values_before_are_recorded(api: Api, cast: Cast) -> None:
    created(api)
    changes = {"groups": ["viewer"], "organizationId": cast.oslo.pk, "firstName": "Alice", "reason": "moved"}
    response = api.patch(f"{PEOPLE}/alice", changes)
    assert response.status_code == 200
    assert response.json() | {"groups": ["viewer"], "organizationId": cast.oslo.pk} == response.json()
    entry = AuditEntry.objects.latest("id")
    assert (entry.details["before"]["groups"], entry.details["after"]["groups"]) == (["operator"], ["viewer"])
    assert (entry.details["before"]["firstName"], entry.details["after"]["firstName"]) == ("", "Alice")
    assert entry.reason == "moved"
    assert api.patch(f"{PEOPLE}/alice", {"organizationId": None}).json()["organizationId"] is None
    count = AuditEntry.objects.count()
    assert api.patch(f"{PEOPLE}/alice", {"groups": ["viewer"]}).status_code == 200
    assert AuditEntry.objects.count() == count, "nothing has changed"
    assert wrong_fields(api.patch(f"{PEOPLE}/alice", {"reason": "x"})) == {""}


def test_a_person_who_is_deactivated_is_out_at_once(api: Api) -> None:
    created(api)
    client = Client()
    client.force_login(User.objects.get(username="alice"))
    assert client.get("/admin/").status_code == 200
    assert api.patch(f"{PEOPLE}/alice", {"active": False, "reason": "left"}).json()["active"] is False
    assert client.get("/admin/").status_code == 302
    assert names(api, active="true") == []
    assert names(api, active="false") == ["alice"]


def test_a_new_password_ends_the_old_one_and_all_sessions(api: Api) -> None:
    former = created(api)["password"]
    client = Client()
    client.login(username="alice", password=former)
    new = api.post(f"{PEOPLE}/alice/password", {"reason": "lost"}).json()["password"]
    assert client.get("/admin/").status_code == 302
    assert (signs_in("alice", former), signs_in("alice", new)) == (False, True)
    assert AuditEntry.objects.get(action="user.password").reason == "lost"


def test_the_list_has_pages_and_filters(api: Api, cast: Cast) -> None:
    for name, group, organization in (
        ("ann", "viewer", cast.oslo),
        ("bob", "admin", cast.oslo),
        ("cat", "admin", None),
    ):
        created(api, username=name, groups=[group], organizationId=organization.pk if organization else None)
    first = api.get(PEOPLE, pageSize=2).json()
    assert [row["username"] for row in first["results"]] == ["ann", "bob"]
    assert [row["username"] for row in api.get(first["next"]).json()["results"]] == ["cat"]
    assert names(api, group="admin") == ["bob", "cat"]
    assert names(api, organizationId=cast.oslo.pk) == ["ann", "bob"]


@pytest.mark.parametrize("role", ["reader", "editor", "operator"])
def test_only_admins_see_and_change_people(api: Api, role: str) -> None:
    created(api)
    other = Api(access_keys.create(name="other", role=Role(role))[1])
    calls = [
        other.get(PEOPLE), other.get(f"{PEOPLE}/alice"), other.post(PEOPLE, {"username": "x", "groups": []}),
        other.patch(f"{PEOPLE}/alice", {"active": False}), other.post(f"{PEOPLE}/alice/password"),
    ]  # fmt: skip
    assert {kind_of(call) for call in calls} == {"not-permitted"}


def test_a_bound_admin_sees_and_changes_the_people_of_its_subtree_only(api: Api, bound: Api, cast: Cast) -> None:
    created(api, username="everywhere", groups=["viewer"])
    created(api, username="above", organizationId=cast.acme.pk)
    created(api, username="rival", organizationId=cast.rival.pk)
    created(bound, username="ours", organizationId=cast.oslo.pk, groups=["admin"])
    assert names(bound) == ["ours"]
    for name in ("everywhere", "above", "rival", "nobody"):
        answers = [
            bound.get(f"{PEOPLE}/{name}"), bound.patch(f"{PEOPLE}/{name}", {"active": False}),
            bound.post(f"{PEOPLE}/{name}/password"),
        ]  # fmt: skip
        assert {kind_of(answer) for answer in answers} == {"person-not-found"}
    assert not User.objects.filter(is_active=False).exists()


def test_a_bound_admin_never_gives_more_than_it_has(bound: Api, cast: Cast) -> None:
    assert kind_of(bound.post(PEOPLE, {"username": "x", "groups": []})) == "outside-of-your-subtree"
    for organization in (cast.acme, cast.south, cast.rival):
        body = {"username": "x", "groups": [], "organizationId": organization.pk}
        assert kind_of(bound.post(PEOPLE, body)) == "organization-not-found"
    created(bound, username="ours", organizationId=cast.oslo.pk)
    assert kind_of(bound.patch(f"{PEOPLE}/ours", {"organizationId": None})) == "outside-of-your-subtree"
    answer = bound.patch(f"{PEOPLE}/ours", {"organizationId": cast.rome.pk, "groups": ["admin"]})
    assert kind_of(answer) == "organization-not-found"
    assert StaffScope.objects.get().organization_id == cast.oslo.pk
    assert [group.name for group in User.objects.get().groups.all()] == ["operator"], "half of it was not done either"


def test_nobody_puts_people_into_a_group_above_the_own_role(cast: Cast) -> None:
    eve = Caller("user:eve", Role.OPERATOR)
    with pytest.raises(MoreThanYouMay):
        people_operations.create(eve, username="x", groups=["admin"])


def test_a_superuser_is_not_changed_by_an_access_key(api: Api) -> None:
    root = person(SUPERUSER, name="root")
    before = User.objects.values().get(pk=root.pk)
    for answer in (api.patch(f"{PEOPLE}/root", {"active": False}), api.post(f"{PEOPLE}/root/password")):
        assert kind_of(answer) == "more-than-you-may"
    assert User.objects.values().get(pk=root.pk) == before


def test_commands_do_the_same(cast: Cast) -> None:
    made = run("create_person", "alice", "--group", "operator", "--organization", "north", "--json").document
    assert signs_in("alice", made["password"])
    changed = run("change_person", "alice", "--group", "viewer", "--group", "admin", "--everywhere", "--json").document
    assert (changed["groups"], changed["organizationId"]) == (["admin", "viewer"], None)
    password = run("set_password", "alice", "--json").document["password"]
    assert (signs_in("alice", made["password"]), signs_in("alice", password)) == (False, True)
    assert run("change_person", "alice", "--deactivate", "--reason", "left").status == 0
    assert AuditEntry.objects.latest("id").reason == "left"
    assert not signs_in("alice", password)
    listed = run("people")
    assert "alice" in listed.out
    assert "deactivated" in listed.out
    assert run("people", "--json").document[0]["active"] is False
    assert run("change_person", "alice", "--no-groups", "--activate", "--json").document["groups"] == []


def test_commands_refuse_what_makes_no_sense(cast: Cast) -> None:
    assert run("create_person", "a b").status == 1
    assert run("change_person", "nobody", "--deactivate").error == (
        "This person does not exist, or you have no access to the person."
    )
    assert run("change_person", "nobody").status == 2
    assert run("create_person", "alice", "--organization", "nowhere").status == 1
    assert not User.objects.exists()
