"""Who may call: access keys in two headers, sessions of the admin site, roles."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from conftest import Cast
from orgs.access import access_keys
from orgs.access.models import AccessKey, Role
from orgs.tests.api import Api, kind_of

PATH = "/organizations"


def status_with(**headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return int(Client(headers=named).get(PATH).status_code)


def test_a_key_is_taken_from_either_header(admin_key: str) -> None:
    assert status_with(Authorization=f"Bearer {admin_key}") == 200
    assert status_with(authorization=f"bearer {admin_key}") == 200
    assert status_with(X_API_Key=admin_key) == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer {key}x"},
        {"Authorization": "Bearer {prefix}"},
        {"Authorization": "Bearer {prefix}.wrong"},
        {"Authorization": "Bearer wrong.{secret}"},
        {"X_API_Key": ""},
        {"X_API_Key": "é\x7f' OR 1=1"},
        {"X_API_Key": "x" * 5000},
    ],
)
def test_without_a_valid_key_nobody_passes(admin_key: str, headers: dict[str, str]) -> None:
    prefix, _, secret = admin_key.partition(".")
    made = {name: value.format(key=admin_key, prefix=prefix, secret=secret) for name, value in headers.items()}
    assert status_with(**made) == 401


def test_a_refusal_says_how_to_authenticate(db: None) -> None:
    response = Api().get(PATH)
    assert (response.status_code, kind_of(response)) == (401, "not-authenticated")
    assert response["WWW-Authenticate"] == 'Bearer realm="flagsite"'


def test_a_revoked_key_is_refused(admin_key: str) -> None:
    access_keys.revoke(prefix=admin_key.partition(".")[0])
    assert status_with(X_API_Key=admin_key) == 401


def test_a_key_is_refused_from_the_moment_it_expires(db: None) -> None:
    key, past = access_keys.create(name="past", expires=timezone.now() + timedelta(minutes=1))
    AccessKey.objects.filter(pk=key.pk).update(expiry_date=timezone.now() - timedelta(seconds=1))
    _, soon = access_keys.create(name="soon", expires=timezone.now() + timedelta(minutes=1))
    assert (status_with(X_API_Key=past), status_with(X_API_Key=soon)) == (401, 200)


def test_a_key_is_looked_up_in_one_query(admin_key: str, django_assert_num_queries: Any) -> None:
    Api(admin_key).send("OPTIONS", PATH)  # the first use in a minute is recorded
    with django_assert_num_queries(1):
        assert Api(admin_key).send("OPTIONS", PATH).status_code == 204


CALLS = {
    "see": ("GET", "/organizations/{oslo}", None, 200),
    "set": ("POST", "/{oslo}/flag/true", None, 200),
    "retry": ("POST", "/retry-job/999999", None, 404),
    "cancel": ("POST", "/cancel-job/999999", None, 404),
    "create": ("POST", "/organizations", {"name": "N", "key": "n"}, 201),
    "change": ("PATCH", "/organizations/{oslo}", {"name": "N"}, 200),
    "delete": ("DELETE", "/organizations/{oslo}", None, 204),
}
MAY: dict[Role, set[str]] = {
    Role.CLIENT: set(),
    Role.EVALUATOR: set(),
    Role.READER: {"see"},
    Role.EDITOR: {"see", "set"},
    Role.OPERATOR: {"see", "set", "retry", "cancel"},
    Role.ADMIN: set(CALLS),
}


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("what", list(CALLS))
def test_each_role_may_do_what_it_is_for_and_no_more(cast: Cast, role: Role, what: str) -> None:
    method, path, body, status = CALLS[what]
    api = Api(access_keys.create(name="k", role=role)[1])
    response = api.send(method, path.format(oslo=cast.oslo.pk), body)
    if what in MAY[role]:
        assert response.status_code == status
    else:
        assert (response.status_code, kind_of(response)) == (403, "not-permitted")
        assert role.value in response.json()["detail"]


def signed_in(**attributes: Any) -> Client:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_user("alice", password="x", **attributes))
    return client


def test_staff_may_look_and_a_superuser_may_do_everything_in_their_session(cast: Cast) -> None:
    path = f"/organizations/{cast.oslo.pk}"
    staff = signed_in()
    User.objects.get().groups.add(Group.objects.get(name="viewer"))
    assert staff.get(path).status_code == 200
    User.objects.update(is_superuser=True)
    staff.cookies["csrftoken"] = "a" * 32
    assert staff.delete(path, headers={"X-CSRFToken": "a" * 32}).status_code == 204


def test_a_session_without_csrf_token_changes_nothing(cast: Cast) -> None:
    response = signed_in(is_superuser=True).delete(f"/organizations/{cast.oslo.pk}")
    assert (response.status_code, kind_of(response)) == (403, "not-permitted")


def test_staff_may_not_change_anything(cast: Cast) -> None:
    staff = signed_in()
    User.objects.get().groups.add(Group.objects.get(name="viewer"))
    staff.cookies["csrftoken"] = "a" * 32
    assert staff.delete(f"/organizations/{cast.oslo.pk}", headers={"X-CSRFToken": "a" * 32}).status_code == 403


@pytest.mark.parametrize("attributes", [{}, {"is_staff": True}, {"is_superuser": True, "is_active": False}])
def test_people_who_may_not_use_the_admin_site_are_nobody(cast: Cast, attributes: dict[str, bool]) -> None:
    assert signed_in(**attributes).get(PATH).status_code == 401


def test_the_log_names_the_caller_of_a_refused_request(acme_key: str, caplog: pytest.LogCaptureFixture) -> None:
    key = AccessKey.objects.create_key(name="page", role=Role.CLIENT)[1]
    with caplog.at_level("INFO", logger="flagsite.web.request_log"):
        assert Api(acme_key).get("/v1/queues").status_code == 403
        assert Api(key).get(PATH).status_code == 403
    lines = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    assert [line["caller"].rpartition(" ")[2] for line in lines if line.get("status") == 403] == ["acme", "page"]
