"""Access keys in the admin site: made and shown once, revoked; a bound administrator stays in their subtree."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session

from conftest import Cast
from orgs.access import access_keys
from orgs.access.models import AccessKey, Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db

PAGE = "/admin/orgs/accesskey/"


def secret_on(response: Any) -> str:
    """The key that the page shows."""
    found = re.search(r'id="secret"[^>]*>([^<]+)<', shown(response))
    assert found is not None
    return found[1]


def test_a_key_is_shown_in_the_answer_and_kept_nowhere(cast: Cast) -> None:
    client = signed_in("admin")
    answer = client.post(f"{PAGE}add/", {"name": "nightly <sync>", "role": "editor", "organization": cast.north.pk})
    secret = secret_on(answer)
    assert {"no-store", "private"} <= set(answer["Cache-Control"].split(", "))
    assert "nightly &lt;sync&gt;" in shown(answer)
    assert Api(secret).get(f"/organizations/{cast.oslo.pk}").status_code == 200
    assert kind_of(Api(secret).get(f"/organizations/{cast.rome.pk}")) == "organization-not-found"
    half = secret.partition(".")[2]
    assert half not in shown(client.get(PAGE))
    assert all(half not in str(session.get_decoded()) for session in Session.objects.all())
    assert half not in str(list(AuditEntry.objects.values())) + str(list(LogEntry.objects.values()))
    assert half not in str(client.cookies)
    last = AuditEntry.objects.latest("id")
    assert (last.actor, last.action, last.organization_id, last.via) == (
        "user:pat",
        "key.create",
        cast.north.pk,
        "admin",
    )


def test_a_form_that_is_sent_again_makes_no_second_key() -> None:
    client = signed_in("admin")
    token = re.search(r'name="token" value="([^"]{20,})"', shown(client.get(f"{PAGE}add/")))
    assert token is not None
    form = {"name": "nightly sync", "role": "reader", "token": token[1]}
    secret = secret_on(client.post(f"{PAGE}add/", form))
    page = shown(client.post(f"{PAGE}add/", form, follow=True))
    assert "already created and shown" in page
    assert secret not in page
    assert AccessKey.objects.count() == 1
    secret_on(client.post(f"{PAGE}add/", form | {"token": "of another form"}))


def test_a_key_may_expire_but_not_in_the_past() -> None:
    client = signed_in("admin")
    wanted = {"name": "short", "role": "reader", "expiry_date_1": "12:00"}
    assert "This time is in the past." in shown(client.post(f"{PAGE}add/", wanted | {"expiry_date_0": "2020-01-01"}))
    assert not AccessKey.objects.exists()
    secret_on(client.post(f"{PAGE}add/", wanted | {"expiry_date_0": "2099-01-01"}))
    assert AccessKey.objects.get().expiry_date is not None


@pytest.mark.parametrize("name", ["", "  ", "a\tb", "x" * 51])
def test_a_key_needs_a_name_that_can_be_printed(name: str) -> None:
    shown(signed_in("admin").post(f"{PAGE}add/", {"name": name, "role": "reader"}))
    assert not AccessKey.objects.exists()


def test_revoking_asks_first_and_ends_the_key(cast: Cast) -> None:
    key, secret = access_keys.create(name="old", role=Role.READER)
    client = signed_in("admin")
    assert "cannot be undone" in shown(client.get(f"{PAGE}{key.prefix}/revoke/"))
    assert Api(secret).get("/organizations").status_code == 200
    page = shown(client.post(f"{PAGE}{key.prefix}/revoke/", {"reason": "It leaked."}, follow=True))
    assert "old" in page
    assert "Reason: It leaked." in page
    assert kind_of(Api(secret).get("/organizations")) == "not-authenticated"
    assert AuditEntry.objects.latest("id").action == "key.revoke"


def test_the_list_tells_role_organization_and_state(cast: Cast) -> None:
    access_keys.create(name="valid one", role=Role.OPERATOR, organization=cast.oslo)
    access_keys.revoke(prefix=access_keys.create(name="ended one")[0].prefix)
    page = shown(signed_in("admin").get(PAGE))
    for text in ("valid one", "Operator", "Oslo", "valid", "ended one", "revoked"):
        assert text in page


def test_a_bound_administrator_makes_keys_for_their_subtree_only(cast: Cast) -> None:
    client = signed_in("admin", bound_to=cast.north)
    for foreign in ("", cast.acme.pk, cast.south.pk, cast.rival.pk):
        shown(client.post(f"{PAGE}add/", {"name": "mine", "role": "admin", "organization": foreign}))
        assert not AccessKey.objects.exists(), foreign
    for own in (cast.north, cast.oslo):
        secret_on(client.post(f"{PAGE}add/", {"name": "mine", "role": "admin", "organization": own.pk}))
    assert AccessKey.objects.count() == 2


def test_a_bound_administrator_neither_sees_nor_ends_keys_of_others(cast: Cast) -> None:
    theirs, _ = access_keys.create(name="theirs", organization=cast.rival)
    everywhere, _ = access_keys.create(name="everywhere")
    access_keys.create(name="ours", organization=cast.oslo)
    client = signed_in("admin", bound_to=cast.north)
    page = shown(client.get(PAGE))
    assert "ours" in page
    assert "theirs" not in page
    assert "everywhere" not in page
    for key in (theirs, everywhere):
        assert client.get(f"{PAGE}{key.prefix}/revoke/").status_code == 404
        assert client.post(f"{PAGE}{key.prefix}/revoke/").status_code == 404
    assert not AccessKey.objects.filter(revoked=True).exists()


def test_the_list_takes_as_many_queries_for_many_keys_as_for_few(
    cast: Cast, django_assert_max_num_queries: Any
) -> None:
    client = signed_in("admin", bound_to=cast.acme)
    counts = []
    for size in (1, 5):
        for number in range(size):
            access_keys.create(name=f"key {number}", organization=cast.of_acme[number])
        with django_assert_max_num_queries(12) as queries:
            shown(client.get(PAGE))
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_key_is_rotated_on_its_page_and_shown_once(cast: Cast) -> None:
    key, former = access_keys.create(name="nightly", role=Role.EDITOR, organization=cast.north)
    client = signed_in("admin")
    page = f"{PAGE}{key.prefix}/rotate/"
    assert "1 week" in shown(client.get(page))
    secret = secret_on(client.post(page, {"overlap": "168", "reason": "yearly"}))
    assert {Api(one).get("/organizations").status_code for one in (former, secret)} == {200}
    assert AuditEntry.objects.latest("id").action == "key.rotate"
    assert "was rotated already" in shown(client.post(page, {"overlap": "168"}))
    assert "replaced by" in shown(client.get(PAGE))
    key.refresh_from_db()
    said = f"The former key {key.prefix} is valid until {key.expiry_date:%Y-%m-%d %H:%M} UTC."
    revoke = f"{PAGE}{secret.partition('.')[0]}/revoke/"
    assert said in shown(client.get(revoke))
    assert said in shown(client.post(revoke, {"reason": "It leaked."}, follow=True))


def test_the_list_tells_when_a_key_was_used_last(cast: Cast) -> None:
    _, secret = access_keys.create(name="nightly")
    client = signed_in("admin")
    assert "never" in shown(client.get(PAGE))
    Api(secret).get("/organizations")
    assert "never" not in shown(client.get(PAGE))
