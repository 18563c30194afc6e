"""OpenFeature's remote evaluation, as a client sees it: docs/openfeature.md."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext, override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import Cast
from flags.definitions.models import Flag
from flags.evaluation import context_loader
from flags.evaluation.engine import StateValue
from flags.serving.cache_events import OrganizationMoved, StatesWritten
from flags.serving.ofrep import evaluation_rate_limit
from flags.states.set_flag import set_flag
from flags.tests.serving.asking import FLAGS, Asking
from orgs.access import access_keys
from orgs.access.models import AccessKey, Role
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db
ALLOWED = {"STATIC", "TARGETING_MATCH", "SPLIT", "DISABLED", "UNKNOWN"}


@pytest.fixture
def checkout(cast: Cast) -> Flag:
    """On for Oslo's store, rolled out to half of the users; and a flag that is on by default."""
    Flag.objects.create(key="plain", enabled=True)
    flag = Flag.objects.create(key="checkout", rollout_percentage=50, whitelist=["vip"])
    set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True)
    return flag


def test_all_flags_of_an_organization_come_with_value_variant_reason_and_provenance(
    cast: Cast, checkout: Flag, asking: Asking
) -> None:
    answer = asking.all(organizationId=cast.oslo.pk, targetingKey="vip")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.body["metadata"] == {"organizationId": cast.oslo.pk}
    assert [entry["key"] for entry in answer.body["flags"]] == ["checkout", "plain"]
    assert answer.body["flags"][0] == {
        "key": "checkout", "reason": "TARGETING_MATCH", "value": True, "variant": "on",
        "metadata": {"rule": "whitelist"},
    }  # fmt: skip
    assert answer.body["flags"][1]["reason"] == "STATIC"


def test_what_an_organization_decided_names_where_it_was_set(cast: Cast, checkout: Flag, asking: Asking) -> None:
    entry = asking.one("checkout", organizationId=cast.oslo.pk, targetingKey="joe").body
    number = checkout.changes.get().number
    assert entry["metadata"] == {"rule": "rollout", "sourceOrganizationId": cast.oslo.pk, "changeNumber": number}
    assert (entry["reason"], entry["variant"]) == ("SPLIT", "on" if entry["value"] else "off")


@pytest.mark.parametrize("way", ["id", "number", "key", "path", "path by key"])
def test_the_organization_is_named_by_path_or_context_by_id_or_key(
    cast: Cast, checkout: Flag, asking: Asking, way: str
) -> None:
    oslo = cast.oslo
    context: dict[str, Any] = {"id": {"organizationId": str(oslo.pk)}, "number": {"organizationId": oslo.pk},
                               "key": {"organizationKey": oslo.key}}.get(way, {})  # fmt: skip
    below = {"path": f"/organizations/{oslo.pk}", "path by key": f"/organizations/{oslo.key}"}.get(way, "")
    answer = asking.post(below + FLAGS, {"context": {"targetingKey": "vip", **context}})
    assert answer.body["metadata"] == {"organizationId": oslo.pk}
    assert answer.body["flags"][0]["value"] is True


def test_a_path_is_taken_as_the_server_has_decoded_it(checkout: Flag, asking: Asking) -> None:
    for key in ("50% off", "a%41", "ø"):
        organization = Organization.objects.create(name="Odd", key=key)
        answer = asking.post(f"/organizations/{key}{FLAGS}", {"context": {"targetingKey": "joe"}})
        assert answer.body["metadata"] == {"organizationId": organization.pk}


def test_without_an_organization_a_key_that_is_bound_asks_for_its_own_and_others_get_the_defaults(
    cast: Cast, checkout: Flag, asking: Asking
) -> None:
    assert asking.one("checkout", targetingKey="joe").body["metadata"] == {"rule": "default"}
    _, bound = access_keys.create(name="oslo", role=Role.READER, organization=cast.oslo)
    assert Asking(bound).all(targetingKey="joe").body["metadata"] == {"organizationId": cast.oslo.pk}


def test_a_bound_key_evaluates_nothing_but_its_own_subtree(cast: Cast, checkout: Flag, acme_key: str) -> None:
    asking = Asking(acme_key)
    assert asking.all(organizationId=cast.rome.pk, targetingKey="joe").status == 200
    for context in ({"organizationId": cast.rival.pk}, {"organizationKey": cast.rival.key},
                    {"organizationId": 2**62}, {"organizationKey": "nobody"}):  # fmt: skip
        answer = asking.all(targetingKey="joe", **context)
        assert (answer.status, answer.body["errorCode"]) == (400, "INVALID_CONTEXT")
    for named in (cast.rival.pk, cast.rival.key, "nobody", 2**64):
        answer = asking.post(f"/organizations/{named}{FLAGS}", {"context": {"targetingKey": "joe"}})
        assert (answer.status, answer.body["errorDetails"]) == (
            400, "There is no such organization, or it is not yours.",
        )  # fmt: skip


def test_an_id_and_a_key_in_one_context_have_to_name_the_same_organization(
    cast: Cast, checkout: Flag, asking: Asking
) -> None:
    for named in (cast.oslo.pk, "oslo", f"id:{cast.oslo.pk}"):
        assert asking.all(organizationId=named, organizationKey="oslo", targetingKey="joe").status == 200
        assert asking.all(organizationId=named, organizationKey="", targetingKey="joe").status == 200
        for other in ("bergen", "nobody", str(cast.oslo.pk)):
            answer = asking.all(organizationId=named, organizationKey=other, targetingKey="joe")
            assert (answer.status, answer.body["errorCode"]) == (400, "INVALID_CONTEXT")
            assert "name two organizations" in answer.body["errorDetails"]
    below = {"context": {"targetingKey": "joe", "organizationKey": "bergen"}}
    assert asking.post(f"/organizations/oslo{FLAGS}", below).body["metadata"] == {"organizationId": cast.oslo.pk}


@pytest.mark.parametrize("key", ["", "nonsense", "abc.def", "ключ"])
def test_who_has_no_valid_key_gets_nothing(checkout: Flag, key: str) -> None:
    answer = Asking(key).all(targetingKey="joe")
    assert answer.status == 401
    assert "access key" in answer.body["errorDetails"]


def test_a_key_that_is_revoked_ends_at_once_and_one_whose_time_has_come_soon(
    cast: Cast, checkout: Flag, acme_key: str
) -> None:
    asking = Asking(acme_key)
    assert asking.all(organizationId=cast.oslo.pk, targetingKey="joe").status == 200
    access_keys.revoke(prefix=acme_key.partition(".")[0])
    asking.access_keys.clear()  # as the listener does when it hears of it
    assert asking.all(organizationId=cast.oslo.pk, targetingKey="joe").status == 401
    _, other = access_keys.create(name="short", role=Role.READER)
    AccessKey.objects.filter(name="short").update(expiry_date=Now() - timedelta(seconds=1))
    assert Asking(other).all(targetingKey="joe").status == 401


def test_a_rollout_without_a_targeting_key_is_an_error_for_that_flag_only(
    cast: Cast, checkout: Flag, asking: Asking
) -> None:
    single = asking.one("checkout", organizationId=cast.oslo.pk)
    assert (single.status, single.body["key"], single.body["errorCode"]) == (400, "checkout", "TARGETING_KEY_MISSING")
    assert single.body["errorDetails"]
    bulk = asking.all(organizationId=cast.oslo.pk)
    assert bulk.status == 200
    assert [entry.get("errorCode") for entry in bulk.body["flags"]] == ["TARGETING_KEY_MISSING", None]
    assert asking.one("plain", organizationId=cast.oslo.pk).status == 200


def test_a_rollout_by_a_formula_of_a_later_flagsite_is_an_error_for_that_flag_only(
    cast: Cast, checkout: Flag, asking: Asking
) -> None:
    """As while a new version is rolled out, and a process of the old one still answers."""
    Flag.objects.filter(key="checkout").update(hash_version=99)
    single = asking.one("checkout", organizationId=cast.oslo.pk, targetingKey="joe")
    assert (single.status, single.body["key"], single.body["errorCode"]) == (500, "checkout", "GENERAL")
    bulk = asking.all(organizationId=cast.oslo.pk, targetingKey="joe")
    assert bulk.status == 200
    assert [entry.get("errorCode") for entry in bulk.body["flags"]] == ["GENERAL", None]
    assert asking.one("checkout", organizationId=cast.oslo.pk, targetingKey="vip").body["value"] is True
    assert asking.one("plain", organizationId=cast.oslo.pk, targetingKey="joe").body["value"] is True


def test_an_unknown_flag_is_not_found(checkout: Flag, asking: Asking) -> None:
    for name in ("nope", "ключ", "a b", "a%20b", "x" * 300):
        answer = asking.one(name, targetingKey="joe")
        assert (answer.status, answer.body["errorCode"]) == (404, "FLAG_NOT_FOUND")
        assert answer.body["key"] == name


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "PARSE_ERROR"), (b"{", "PARSE_ERROR"), (b"\xff", "PARSE_ERROR"), (b'{"context": NaN}', "PARSE_ERROR"),
        (b'{"context": {"targetingKey": "\\ud800"}}', "INVALID_CONTEXT"),
        (b"[" * 5000, "PARSE_ERROR"), (b"null", "INVALID_CONTEXT"), (b"[]", "INVALID_CONTEXT"),
        (b"{}", "INVALID_CONTEXT"), (b'{"context": []}', "INVALID_CONTEXT"), (b'{"context": null}', "INVALID_CONTEXT"),
        (b'{"context": {"targetingKey": 5}}', "INVALID_CONTEXT"),
        (b'{"context": {"environment": ["x"]}}', "INVALID_CONTEXT"),
        (b'{"context": {"organizationId": {"a": 1}}}', "INVALID_CONTEXT"),
        (b'{"context": {"organizationId": true}}', "INVALID_CONTEXT"),
        (b'{"context": {"organizationId": -1}}', "INVALID_CONTEXT"),
        (b'{"context": {"organizationId": 1e99}}', "INVALID_CONTEXT"),
        (b'{"context": {"organizationId": 9223372036854775808}}', "INVALID_CONTEXT"),  # 2 to the 63
        (b'{"context": {"organizationId": 18446744073709551615}}', "INVALID_CONTEXT"),
        (b'{"context": {"organizationKey": 7}}', "INVALID_CONTEXT"),
        (b'{"context": {"organizationKey": "a\\u0000b"}}', "INVALID_CONTEXT"),
    ],
)  # fmt: skip
def test_nonsense_is_told_as_such(checkout: Flag, asking: Asking, body: bytes, code: str) -> None:
    for path in (FLAGS, f"{FLAGS}/checkout"):
        answer = asking.post(path, body)
        assert (answer.status, answer.body["errorCode"]) == (400, code)
        assert answer.body["errorDetails"]


def test_a_number_that_cannot_be_an_id_is_not_looked_up_as_one(
    checkout: Flag, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL would compare it with the ids of all organizations, one after the other."""

    def find(organization_id: int) -> None:
        raise AssertionError(organization_id)

    monkeypatch.setattr(context_loader, "load_organization", find)
    for number in (0, -1, 2**63, 2**64 - 1):
        assert asking.all(organizationId=number).body["errorCode"] == "INVALID_CONTEXT"


@given(
    body=st.binary(max_size=80)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["context", "targetingKey", "organizationId", "organizationKey"]), inner)
        ),
    ).map(lambda content: json.dumps({"context": content}, allow_nan=True).encode()),
    path=st.sampled_from([FLAGS, f"{FLAGS}/checkout"]) | st.text(max_size=9).map(lambda text: f"{FLAGS}/x{text}"),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_is_sent_the_answer_is_one_of_the_protocols(
    checkout: Flag, asking: Asking, body: bytes, path: str
) -> None:
    if "/" in path.removeprefix(FLAGS + "/"):
        return  # none of the protocol's: it goes on to Django
    answer = asking.post(path, body)
    assert answer.status in {200, 400, 404}
    if answer.status != 200:
        assert answer.body["errorDetails"]


def test_a_body_that_is_too_long_is_refused(checkout: Flag, asking: Asking) -> None:
    assert asking.post(FLAGS, b" " * 65_537).status == 413


def test_other_methods_are_refused(checkout: Flag, asking: Asking) -> None:
    answer = asking.post(FLAGS, b"", method="GET")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST, OPTIONS")


def test_an_unchanged_answer_is_304_without_being_evaluated(cast: Cast, checkout: Flag, asking: Asking) -> None:
    first = asking.all(organizationId=cast.oslo.pk, targetingKey="joe")
    tag = first.headers["ETag"]
    for sent in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = asking.all(organizationId=cast.oslo.pk, targetingKey="joe", headers={"If-None-Match": sent})
        assert (again.status, again.body, again.headers["ETag"]) == (304, None, tag)
    other_process = Asking(asking.key)
    assert other_process.all(organizationId=cast.oslo.pk, targetingKey="joe").headers["ETag"] == tag


def test_the_etag_changes_with_user_organization_environment_credential_and_configuration(
    cast: Cast, checkout: Flag, asking: Asking, acme_key: str
) -> None:
    Flag.objects.filter(key="plain").update(environments={"staging": False})
    context = {"organizationId": cast.oslo.pk, "targetingKey": "joe"}
    others: list[dict[str, Any]] = [
        {}, {"targetingKey": "ann"}, {"organizationId": cast.bergen.pk}, {"environment": "staging"},
    ]  # fmt: skip
    tags = [asking.all(**{**context, **other}).headers["ETag"] for other in others]
    tags.append(Asking(acme_key).all(**context).headers["ETag"])
    Flag.objects.filter(key="checkout").update(rollout_percentage=60)
    asking.cache.reload_definitions()
    tags.append(asking.all(**context).headers["ETag"])
    set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=False)
    asking.cache.clear()
    tags.append(asking.all(**context).headers["ETag"])
    assert len(set(tags)) == len(tags)


def test_the_etag_is_another_for_each_organization_and_place_where_nobody_has_set_anything(
    cast: Cast, asking: Asking
) -> None:
    def tag(organization: Organization) -> str:
        return asking.all(organizationId=organization.pk, targetingKey="joe").headers["ETag"]

    first = tag(cast.oslo)
    assert tag(cast.bergen) != first
    cast.oslo.move_to(cast.south)
    asking.cache.notify(OrganizationMoved(cast.oslo.pk))
    assert tag(cast.oslo) != first


def test_the_etag_tells_where_the_user_ends_and_the_environment_begins(checkout: Flag, asking: Asking) -> None:
    contexts = [("abc", ""), ("ab", "c"), ("a", "bc"), ("", "abc")]
    tags = {asking.all(targetingKey=user, environment=name).headers["ETag"] for user, name in contexts}
    assert len(tags) == len(contexts)


@pytest.mark.parametrize("changed", [{"EVENTS_URL": "https://new.example"}, {"SECRET_KEY": "another one"}])
def test_the_etag_changes_with_the_address_of_events(checkout: Flag, admin_key: str, changed: dict[str, str]) -> None:
    tag = Asking(admin_key).all(targetingKey="joe").headers["ETag"]
    with override_settings(**changed):
        assert Asking(admin_key).all(targetingKey="joe").headers["ETag"] != tag


def test_what_is_known_is_answered_without_a_query(cast: Cast, checkout: Flag, asking: Asking) -> None:
    asking.all(organizationId=cast.oslo.pk, targetingKey="joe")
    with CaptureQueriesContext(
        connection,
    ) as queries:
        asking.all(organizationId=cast.oslo.pk, targetingKey="ann")
        asking.one("checkout", organizationKey=cast.oslo.key, targetingKey="ann")
    assert len(queries) == 0


def test_a_change_that_is_heard_of_holds_from_then_on_for_those_whom_it_concerns(
    cast: Cast, checkout: Flag, asking: Asking
) -> None:
    def value(organization_id: int) -> bool:
        return bool(asking.one("plain", organizationId=organization_id, targetingKey="joe").body["value"])

    everybody = [one.pk for one in cast.of_acme] + [cast.rival.pk]
    assert all(value(pk) for pk in everybody)
    plain = Flag.objects.get(key="plain")
    asking.cache.notify(
        StatesWritten(
            cast.north.pk, 0, cast.bergen.pk, StateValue(plain.pk, enabled=False, source_id=cast.north.pk, number=50)
        )
    )
    changed = {pk for pk in everybody if not value(pk)}
    assert changed == {pk for pk in (cast.north.pk, cast.oslo.pk, cast.bergen.pk) if pk <= cast.bergen.pk}
    asking.cache.notify(
        StatesWritten(cast.acme.pk, 0, 2**40, StateValue(plain.pk, enabled=True, source_id=cast.acme.pk, number=49))
    )
    assert not value(cast.oslo.pk)  # an older change that comes late changes nothing newer
    assert value(cast.rome.pk)


@pytest.mark.parametrize(
    ("query", "heard", "status"),
    [("", False, 304), ("flagConfigLastModified=7", False, 200), ("flagConfigEtag=x", True, 304)],
)
def test_who_was_told_to_ask_is_not_answered_from_what_the_process_knew_before(
    cast: Cast, asking: Asking, query: str, heard: bool, status: int
) -> None:
    Flag.objects.create(key="plain", enabled=True)
    asking.evaluation._is_up_to_date = lambda: heard
    tag = asking.all(organizationId=cast.oslo.pk, targetingKey="joe").headers["ETag"]
    set_flag(organization_id=cast.oslo.pk, flag_key="plain", enabled=False)  # of which nobody hears
    again = asking.all(organizationId=cast.oslo.pk, targetingKey="joe", headers={"If-None-Match": tag}, query=query)
    assert again.status == status


def test_an_organization_that_was_moved_is_read_anew(cast: Cast, checkout: Flag, asking: Asking) -> None:
    asking.all(organizationId=cast.oslo.pk, targetingKey="joe")
    cast.oslo.move_to(cast.south)
    asking.cache.notify(OrganizationMoved(cast.oslo.pk))
    assert asking.cache.snapshot(cast.oslo.pk).ids == (cast.acme.pk, cast.south.pk, cast.oslo.pk)


def test_a_key_that_asks_too_often_is_told_when_to_come_again(checkout: Flag, asking: Asking) -> None:
    asking.evaluation.budget.most = 2
    assert [asking.one("plain").status for _ in range(3)] == [200, 200, 429]
    assert 1 <= int(asking.one("plain").headers["Retry-After"]) <= 60


def test_a_key_that_has_spent_its_minute_may_go_on_in_the_next_one(checkout: Flag, asking: Asking) -> None:
    asking.evaluation.budget.most = 1
    assert [asking.one("plain").status for _ in range(2)] == [200, 429]
    for window in asking.evaluation.budget._windows.values():
        window[0] -= 61
    assert [asking.one("plain").status for _ in range(2)] == [200, 429]


def test_budgets_whose_minute_is_over_are_dropped(
    checkout: Flag, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation_rate_limit, "MOST_CALLERS", 3)
    windows = asking.evaluation.budget._windows
    windows |= {"key:old a": [0.0, 7], "key:old b": [0.0, 7], "key:busy c": [float("inf"), 7]}
    assert asking.one("plain").status == 200
    names = set(asking.evaluation.budget._windows)
    assert "key:busy c" in names
    assert not any(name.startswith("key:old") for name in names)
    assert len(names) == 2


def test_reasons_are_words_of_the_protocol_and_metadata_is_flat(cast: Cast, checkout: Flag, asking: Asking) -> None:
    Flag.objects.create(key="gone", archived=True)
    for entry in asking.all(organizationId=cast.oslo.pk, targetingKey="joe").body["flags"]:
        assert entry["reason"] in ALLOWED
        assert isinstance(entry["value"], bool)
        assert entry["variant"] in {"on", "off"}
        assert all(isinstance(value, str | int | bool) for value in entry["metadata"].values())
