"""Access keys over HTTP: created and shown once, listed, rotated with an overlap, revoked."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from conftest import Cast
from flagsite.core import actor
from orgs.access import access_keys, authorized_keys, key_uses
from orgs.access.caller import Caller
from orgs.access.models import AccessKey, AccessKeyUse, Role
from orgs.audit.models import AuditEntry
from orgs.errors import AccessKeyEnded, MoreThanYouMay
from orgs.idempotency.models import IdempotentRequest
from orgs.tests.api import Api, kind_of, wrong_fields

KEYS = "/v1/access-keys"


@pytest.fixture
def api(cast: Cast, admin_key: str) -> Api:
    return Api(admin_key)


def works(secret: str) -> bool:
    return bool(Api(secret).get("/organizations").status_code == 200)


def created(api: Api, **body: Any) -> dict[str, Any]:
    response = api.post(KEYS, {"name": "nightly", **body})
    assert response.status_code == 201, response.content
    answer: dict[str, Any] = response.json()
    return answer


def test_a_key_is_created_and_shown_once(api: Api, cast: Cast) -> None:
    response = api.post(KEYS, {"name": "nightly", "role": "editor", "organizationId": cast.north.pk, "reason": "CRM"})
    answer = response.json()
    assert response.status_code == 201
    assert response["Location"] == f"{KEYS}/{answer['prefix']}"
    assert "no-store" in response["Cache-Control"]
    assert works(answer["key"])
    assert Api(answer["key"]).get(f"/organizations/{cast.rome.pk}").status_code == 404
    read = api.get(response["Location"]).json()
    secret = answer.pop("key")
    nothing = {"count": 0, "changes": []}
    assert read == answer | {"lastUsedAt": read["lastUsedAt"], "formerKeys": [], "plannedChanges": nothing}
    assert secret.partition(".")[2] not in str(api.get(KEYS).content) + str(list(AccessKey.objects.values()))
    entry = AuditEntry.objects.latest("id")
    assert (entry.action, entry.reason, entry.organization_id) == ("key.create", "CRM", cast.north.pk)


def test_a_repeated_request_does_not_store_the_secret(api: Api) -> None:
    first, second = (api.post(KEYS, {"name": "nightly"}, Idempotency_Key="k") for _ in range(2))
    secret = first.json()["key"]
    assert second.json() == first.json() | {"key": None}
    assert second["Idempotent-Replayed"] == "true"
    assert AccessKey.objects.filter(name="nightly").count() == 1
    assert secret.partition(".")[2] not in str(list(IdempotentRequest.objects.values()))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 51}, "name"),
        ({"name": "a\tb"}, "name"),
        ({"name": "x", "role": "king"}, "role"),
        ({"name": "x", "organizationId": ""}, "organizationId"),
        ({"name": "x", "expiresAt": "soon"}, "expiresAt"),
        ({"name": "x", "owner": "me"}, "owner"),
        ({}, "name"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(api: Api, body: Any, field: str) -> None:
    assert wrong_fields(api.post(KEYS, body)) == {field}


def test_a_key_does_not_expire_in_the_past(api: Api) -> None:
    assert kind_of(api.post(KEYS, {"name": "x", "expiresAt": "2020-01-01T00:00:00Z"})) == "invalid-key-expiry"
    assert created(api, expiresAt="2999-01-01T01:00:00+01:00")["expiresAt"] == "2999-01-01T00:00:00.000000Z"


@pytest.mark.parametrize("role", ["reader", "editor", "operator"])
def test_only_admins_see_and_change_keys(api: Api, role: str) -> None:
    other = Api(created(api, role=role)["key"])
    key = created(api)["prefix"]
    calls = [
        other.get(KEYS), other.get(f"{KEYS}/{key}"), other.post(KEYS, {"name": "x"}),
        other.post(f"{KEYS}/{key}/rotate"), other.post(f"{KEYS}/{key}/revoke"),
    ]  # fmt: skip
    assert {kind_of(call) for call in calls} == {"not-permitted"}


def test_the_list_has_pages_and_filters_newest_first(api: Api, cast: Cast) -> None:
    names = ["one", "two", "three"]
    for name in names:
        created(api, name=name, role="operator", organizationId=cast.oslo.pk)
    first = api.get(KEYS, role="operator", organizationId=cast.oslo.pk, pageSize=2).json()
    second = api.get(first["next"]).json()
    assert [key["name"] for key in first["results"] + second["results"]] == names[::-1]
    assert second["next"] is None


def test_a_bound_admin_sees_and_changes_keys_of_its_subtree_only(api: Api, cast: Cast) -> None:
    bound = Api(created(api, role="admin", organizationId=cast.north.pk)["key"])
    foreign = [created(api), created(api, organizationId=cast.acme.pk), created(api, organizationId=cast.rival.pk)]
    own = created(bound, organizationId=cast.oslo.pk, role="admin")
    assert bound.get(KEYS).json()["results"][0]["prefix"] == own["prefix"]
    seen = {key["prefix"] for key in bound.get(KEYS).json()["results"]}
    for key in foreign:
        assert key["prefix"] not in seen
        for answer in (bound.get(f"{KEYS}/{key['prefix']}"), bound.post(f"{KEYS}/{key['prefix']}/rotate"),
                       bound.post(f"{KEYS}/{key['prefix']}/revoke")):  # fmt: skip
            assert kind_of(answer) == "access-key-not-found"
        assert works(key["key"])
    assert kind_of(bound.post(KEYS, {"name": "x"})) == "outside-of-your-subtree"
    for organization in (cast.acme, cast.south, cast.rival):
        answer = bound.post(KEYS, {"name": "x", "organizationId": organization.pk})
        assert kind_of(answer) == "organization-not-found"


def test_nobody_gives_a_key_a_higher_role_than_the_own(cast: Cast) -> None:
    with pytest.raises(MoreThanYouMay):
        authorized_keys.create(Caller("user:eve", Role.EDITOR), name="x", role=Role.OPERATOR)


def test_a_rotated_key_has_a_successor_and_both_work_for_a_while(api: Api, cast: Cast) -> None:
    former = created(api, role="editor", organizationId=cast.north.pk)
    response = api.post(f"{KEYS}/{former['prefix']}/rotate", {"overlapSeconds": 7200, "reason": "yearly"})
    new = response.json()
    assert response.status_code == 201
    assert [new[name] for name in ("name", "role", "organizationId")] == ["nightly", "editor", cast.north.pk]
    assert works(former["key"])
    assert works(new["key"])
    read = api.get(f"{KEYS}/{former['prefix']}").json()
    assert (read["replacedBy"], read["state"]) == (new["prefix"], "valid")
    left = datetime.fromisoformat(read["expiresAt"]) - datetime.now(UTC)
    assert timedelta(hours=1.9) < left < timedelta(hours=2.1)
    entries = AuditEntry.objects.order_by("-id")[:2]
    assert [(entry.action, entry.reason) for entry in entries] == [("key.rotate", "yearly"), ("key.create", "yearly")]


def test_who_revokes_the_successor_is_told_how_long_the_former_keys_stay_valid(api: Api) -> None:
    first = created(api)
    second = api.post(f"{KEYS}/{first['prefix']}/rotate").json()
    third = api.post(f"{KEYS}/{second['prefix']}/rotate").json()
    formers = [
        {"prefix": key["prefix"], "expiresAt": api.get(f"{KEYS}/{key['prefix']}").json()["expiresAt"]}
        for key in (second, first)
    ]
    assert api.get(f"{KEYS}/{third['prefix']}").json()["formerKeys"] == formers
    api.post(f"{KEYS}/{first['prefix']}/revoke")
    assert api.post(f"{KEYS}/{third['prefix']}/revoke").json()["formerKeys"] == formers[:1]
    assert works(second["key"])


def test_without_an_overlap_the_former_key_ends_at_once(api: Api) -> None:
    former = created(api)
    new = api.post(f"{KEYS}/{former['prefix']}/rotate", {"overlapSeconds": 0}).json()
    assert (works(former["key"]), works(new["key"])) == (False, True)


def test_a_rotation_never_lengthens_the_life_of_the_former_key(api: Api) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    former = created(api, expiresAt=soon)
    new = api.post(f"{KEYS}/{former['prefix']}/rotate", {"overlapSeconds": 86_400}).json()
    assert api.get(f"{KEYS}/{former['prefix']}").json()["expiresAt"] == former["expiresAt"]
    lives = [
        datetime.fromisoformat(key["expiresAt"]) - datetime.fromisoformat(key["createdAt"]) for key in (former, new)
    ]
    assert abs(lives[0] - lives[1]) < timedelta(seconds=30)


def test_a_key_that_has_ended_or_was_rotated_is_not_rotated(api: Api) -> None:
    former = created(api)
    new = api.post(f"{KEYS}/{former['prefix']}/rotate").json()
    again = api.post(f"{KEYS}/{former['prefix']}/rotate")
    assert kind_of(again) == "access-key-ended"
    assert new["prefix"] in again.json()["detail"]
    api.post(f"{KEYS}/{new['prefix']}/revoke")
    assert kind_of(api.post(f"{KEYS}/{new['prefix']}/rotate")) == "access-key-ended"
    assert api.post(f"{KEYS}/{former['prefix']}/rotate").status_code == 201, "the secret of the successor was lost"


@pytest.mark.django_db(transaction=True)
def test_of_two_rotations_at_once_the_second_is_refused() -> None:
    former, _ = access_keys.create(name="nightly")
    with ThreadPoolExecutor(1) as second:
        with transaction.atomic():
            access_keys.rotate(prefix=former.prefix)
            rotation = second.submit(_rotated_elsewhere, former.prefix)
            _wait_until_somebody_is_blocked()
        with pytest.raises(AccessKeyEnded, match="was rotated already"):
            rotation.result()
    assert AccessKey.objects.count() == 2


def _rotated_elsewhere(prefix: str) -> None:
    try:
        with actor.acting("command", actor="command:other"):
            access_keys.rotate(prefix=prefix)
    finally:
        connection.close()


def _wait_until_somebody_is_blocked() -> None:
    deadline = time.monotonic() + 20
    with connection.cursor() as cursor:
        while time.monotonic() < deadline:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
            time.sleep(0.01)
    pytest.fail("Nobody has waited.")


def test_a_revoked_key_ends_and_is_listed_as_such(api: Api) -> None:
    key = created(api)
    for _ in range(2):
        response = api.post(f"{KEYS}/{key['prefix']}/revoke", {"reason": "leaked"})
        assert (response.status_code, response.json()["state"]) == (200, "revoked")
    assert not works(key["key"])
    assert AuditEntry.objects.filter(action="key.revoke", reason="leaked").count() == 1


def test_the_last_use_of_a_key_is_written_once_a_minute_at_most(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    key = created(api)
    assert key["lastUsedAt"] is None
    assert works(key["key"])
    first = api.get(f"{KEYS}/{key['prefix']}").json()["lastUsedAt"]
    assert first is not None
    with CaptureQueriesContext(connection) as queries:
        assert works(key["key"])
    assert not [query for query in queries if "accesskeyuse" in query["sql"]]
    monkeypatch.setattr(key_uses, "_recorded", {})  # as another process would have it
    assert works(key["key"])
    assert api.get(f"{KEYS}/{key['prefix']}").json()["lastUsedAt"] == first
    AccessKeyUse.objects.update(last_used_at=datetime.now(UTC) - timedelta(minutes=2))
    monkeypatch.setattr(key_uses, "_recorded", {})
    assert works(key["key"])
    assert AccessKeyUse.objects.get(access_key__prefix=key["prefix"]).last_used_at > datetime.now(UTC) - timedelta(
        minutes=1
    )


def test_a_refused_key_counts_as_unused(api: Api) -> None:
    key = created(api)
    assert not works(f"{key['prefix']}.wrong")
    access_keys.revoke(prefix=key["prefix"])
    assert not works(key["key"])
    assert api.get(f"{KEYS}/{key['prefix']}").json()["lastUsedAt"] is None
