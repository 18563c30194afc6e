"""Defining, finding, changing and archiving flags over HTTP."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from conftest import Cast, _key
from flags.definitions.chains import find_circle
from flags.definitions.fields import FIELDS
from flags.definitions.models import Flag
from flags.definitions.serializers import WholeDefinition
from flags.states.set_flag import set_flag
from flags.tests.schedules.plans import planned
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of, wrong_fields

BASE = "/v1/feature-flags"
WHOLE = {
    "name": "new-ui", "description": "Another look.", "enabled": True, "availableToClients": True, "salt": "s",
    "rolloutPercentage": 12.125, "rolloutUnit": "ancestor", "rolloutLevel": 1, "hashVersion": 1,
    "rules": [{"id": "pros", "clauses": [{"attribute": "plan", "op": "in", "values": ["pro"]}],
               "serve": {"rollout": {"on": 70, "off": 30}, "by": "targetingKey"}}], "userWhitelist": ["u1", "u2"],
    "type": "boolean", "variants": [], "defaultVariant": None, "defaultRollout": None, "offVariant": None,
    "schema": None, "environments": {"staging": True, "prod": False}, "prerequisites": [], "owner": "team a",
    "tags": ["a", "b"], "kind": "operational", "expiresOn": "2027-01-31", "killed": True, "archived": False,
}  # fmt: skip


@pytest.fixture
def api(db: None) -> Api:
    return Api(_key("editor", Role.EDITOR))


def defined(api: Api, name: str = "new-ui", **parts: Any) -> Any:
    response = api.post(BASE, {"name": name, **parts})
    assert response.status_code == 201, response.content
    return response


def names(response: Any) -> list[str]:
    return [row["name"] for row in response.json()["results"]]


def audit_entries_of(name: str) -> list[tuple[str, Any, Any]]:
    entries = AuditEntry.objects.filter(subject=f"flag:{name}").order_by("id")
    return [(entry.action, entry.details.get("before"), entry.details.get("after")) for entry in entries]


def test_a_flag_is_defined_with_all_its_parts_and_read_again(api: Api) -> None:
    made = defined(api, **{part: value for part, value in WHOLE.items() if part != "name"})
    assert made["Location"] == f"{BASE}/new-ui"
    shown = made.json()
    assert {part: shown[part] for part in WHOLE} == WHOLE
    assert (shown["version"], shown["createdBy"], shown["updatedBy"]) == (1, *[shown["createdBy"]] * 2)
    assert shown["createdBy"].startswith("key:")
    read = api.get(f"{BASE}/new-ui")
    assert (read.json(), read["ETag"]) == (shown, made["ETag"])
    ((action, before, after),) = audit_entries_of("new-ui")
    assert (action, before) == ("flag.create", None)
    assert after == {part: value for part, value in WHOLE.items() if part != "name"}


def test_what_is_left_out_has_its_default_and_a_salt_of_its_own(api: Api) -> None:
    one, other = defined(api, "one").json(), defined(api, "other").json()
    assert one["salt"] != other["salt"]
    assert {part: one[part] for part in ("enabled", "rolloutPercentage", "rolloutUnit", "kind", "tags")} == {
        "enabled": False, "rolloutPercentage": None, "rolloutUnit": "targetingKey", "kind": "release", "tags": [],
    }  # fmt: skip


def test_a_new_flag_without_a_percentage_has_the_one_of_the_setting(api: Api, cast: Cast, settings: Any) -> None:
    settings.FLAGS_DEFAULT_ROLLOUT = 0
    assert defined(api, "dark", enabled=True, userWhitelist=["ann"]).json()["rolloutPercentage"] == 0

    def is_on(flag: str, user: str) -> bool:
        return bool(api.get(f"{BASE}/{flag}/check?userId={user}&organizationId={cast.oslo.pk}").json()["enabled"])

    assert [is_on("dark", user) for user in ("ann", "bob", "eve")] == [True, False, False]
    defined(api, "half", enabled=True, rolloutPercentage=50)
    defined(api, "all", enabled=True, rolloutPercentage=None)
    assert api.get(f"{BASE}/half").json()["rolloutPercentage"] == 50
    assert is_on("all", "bob")
    whole = api.send("PUT", f"{BASE}/half", {"enabled": True})
    assert whole.json()["rolloutPercentage"] is None, "only new definitions"
    set_flag(organization_id=cast.oslo.pk, flag_key="set-first", enabled=True)
    assert is_on("set-first", "bob"), "a value that somebody sets counts at once"


def test_a_name_is_taken_once(api: Api, cast: Cast) -> None:
    set_flag(organization_id=cast.oslo.pk, flag_key="new-ui", enabled=True)
    response = api.post(BASE, {"name": "new-ui"})
    assert (response.status_code, kind_of(response)) == (409, "flag-exists")


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("name", [None, "", "-a", "a b", "a" * 256, 7, "a\n", "\ud800"]),
        ("description", [None, 1, "a\x00", "x" * 10_001, "\ud800"]),
        ("enabled", [None, "true", 1, [], {}]),
        ("rolloutPercentage", [-0.001, 100.001, 1.0001, "5", True, 1e300, [], {}]),
        ("rolloutUnit", [None, "user", 1, [], {}]),
        ("rolloutLevel", [-1, 1.5, "1", True, 10**30, [], {}]),
        ("salt", [None, 1, "x" * 401]),
        ("hashVersion", [None, 0, 12, "1", True]),
        ("userWhitelist", [None, "u", {}, [1], [""], [None], ["x" * 256], ["\x00"], [str(n) for n in range(10_001)]]),
        ("rules", [None, {}, "r", [1], [{"clauses": [], "serve": {"variant": "on"}}]]),
        ("type", [None, "", "text", 1, [], {}]),
        (
            "variants",
            [
                *(None, {}, "blue", [1]),
                [{"key": "a"}],
                [{"key": "a b", "value": 1}],
                [{"key": "a", "value": 1, "number": 1}],
                [{"key": "a", "value": "\x00"}],
            ],
        ),
        ("defaultVariant", [1, "", "-a", "a b", "a" * 256, [], {}]),
        ("defaultRollout", [1, "", "blue", [], {}, {"variant": "on"}, {"rollout": {"on": 50}}]),
        ("offVariant", [1, "", "-a", "a b", "a" * 256, [], {}]),
        ("schema", [1, [], "x", {"type": "colour"}, {"$ref": "https://example.com/x"}, {"pattern": "("}]),
        ("environments", [None, [], "staging", {"staging": 1}, {"": True}, {"a b": True}, {"\x00": True}]),
        ("prerequisites", [None, "a", ["a b"], [1], [["a"]]]),
        ("owner", [None, 1, "x" * 201]),
        ("tags", [None, "a", [""], [1], ["x" * 401], [str(number) for number in range(51)]]),
        ("kind", [None, "", "big", 1, [], {}]),
        ("expiresOn", ["", "soon", 20270131, "2027-02-30", "2027-01-31T00:00:00Z", [], {}]),
        ("killed", [None, "true", 0]),
        ("availableToClients", [None, "true", 1]),
        ("archived", [None, "true", 0]),
        ("nonsense", [1]),
    ],
)
def test_nonsense_in_a_part_is_told_by_its_name(api: Api, part: str, values: list[Any]) -> None:
    defined(api, "there")
    for value in values:
        fields = wrong_fields(api.post(BASE, {"name": "new-ui", part: value}))
        assert {field.partition(".")[0] for field in fields} == {part}, value
        for method in ("PUT", "PATCH") if part != "name" else ():
            assert wrong_fields(api.send(method, f"{BASE}/there", {part: value})), (method, value)
    assert set(Flag.objects.values_list("key", flat=True)) == {"there"}


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"7", b"{", b'{"name": NaN}', b"\xff"])
def test_nonsense_for_a_body_is_a_problem(api: Api, body: bytes) -> None:
    defined(api, "there")
    assert kind_of(api.post(BASE, body)) in {"bad-request", "invalid-input"}
    if body:
        for method in ("PUT", "PATCH"):
            assert kind_of(api.send(method, f"{BASE}/there", body)) in {"bad-request", "invalid-input"}


@pytest.mark.parametrize("query", ["kind=big", "archived=yes", "tag=a&tag=b", "nonsense=1", "cursor=x", "tag=%00"])
def test_nonsense_in_the_query_is_a_problem(api: Api, query: str) -> None:
    assert wrong_fields(api.get(f"{BASE}?{query}"))


def test_a_flag_that_is_not_there_is_not_found_and_one_that_cannot_be_is_refused(api: Api) -> None:
    for method, body in (("GET", None), ("PUT", {}), ("PATCH", {}), ("DELETE", None)):
        missing, odd = (api.send(method, f"{BASE}/{name}", body) for name in ("missing", "-odd"))
        assert (missing.status_code, kind_of(missing)) == (404, "flag-not-found")
        assert (odd.status_code, kind_of(odd)) == (400, "invalid-flag-name")
    for path in ("a%2Fb", "a%00b", "%ED%A0%80"):
        assert api.get(f"{BASE}/{path}").status_code in {400, 404}


def test_flags_are_found_by_what_they_are(api: Api) -> None:
    defined(api, "a-one", tags=["x", "y"], owner="team a", kind="permission")
    defined(api, "a-two", tags=["x"], description="Like ONE.")
    defined(api, "gone", tags=["x"], archived=True)
    Flag.objects.filter(key="a-two").update(expires_on="2026-01-31")
    for query, found in {
        "": ["a-one", "a-two"], "?tag=x": ["a-one", "a-two"], "?tag=y": ["a-one"], "?tag=z": [],
        "?owner=team%20a": ["a-one"], "?kind=permission": ["a-one"], "?kind=release": ["a-two"],
        "?search=one": ["a-one", "a-two"], "?search=A-T": ["a-two"], "?archived=true": ["gone"],
        "?archived=false": ["a-one", "a-two"], "?tag=x&search=two": ["a-two"], "?pageSize=1": ["a-one"],
        "?search=%25": [], "?stale=true": ["a-two"], "?stale=false": ["a-one"],
    }.items():  # fmt: skip
        assert names(api.get(f"{BASE}{query}")) == found, query
    following = api.get(f"{BASE}?pageSize=1&tag=x").json()["next"]
    assert names(api.get(following)) == ["a-two"]


def test_the_list_takes_as_many_queries_for_many_flags(api: Api, django_assert_max_num_queries: Any) -> None:
    defined(api, "needed")
    for number in range(12):
        defined(api, f"f{number}", prerequisites=["needed"])
    with django_assert_max_num_queries(5):
        assert api.get(BASE).json()["results"][-1]["prerequisites"] == ["needed"]


def test_a_patch_changes_what_it_names_and_the_audit_log_has_both_values(api: Api) -> None:
    defined(api, rolloutPercentage=10, salt="one", tags=["a"])
    changed = api.patch(f"{BASE}/new-ui", {"rolloutPercentage": 20.5, "salt": "two", "tags": ["a"]})
    assert changed.status_code == 200
    shown = changed.json()
    assert (shown["rolloutPercentage"], shown["salt"], shown["tags"], shown["version"]) == (20.5, "two", ["a"], 2)
    assert audit_entries_of("new-ui")[1] == (
        "flag.update", {"rolloutPercentage": 10.0, "salt": "one"}, {"rolloutPercentage": 20.5, "salt": "two"},
    )  # fmt: skip
    assert AuditEntry.objects.get(action="flag.update").details["version"] == 2


def test_a_write_that_changes_nothing_writes_nothing(api: Api) -> None:
    made = defined(api, rolloutPercentage=10, tags=["a"])
    for method in ("PUT", "PATCH"):
        again = api.send(method, f"{BASE}/new-ui", made.json())  # what was read is what may be sent
        assert (again.status_code, again["ETag"], again.json()) == (200, made["ETag"], made.json())
    assert len(audit_entries_of("new-ui")) == 1


def test_a_put_resets_what_it_leaves_out_but_for_what_an_old_client_does_not_know(api: Api) -> None:
    defined(api, **{part: value for part, value in WHOLE.items() if part != "name"})
    put = api.send("PUT", f"{BASE}/new-ui", {"description": "New."})
    shown = put.json()
    assert (shown["description"], shown["rolloutPercentage"], shown["rolloutUnit"], shown["userWhitelist"]) == (
        "New.", None, "targetingKey", [],
    )  # fmt: skip
    assert (shown["salt"], shown["killed"]) == ("s", True)


def test_an_empty_put_makes_a_flag_as_one_that_was_just_defined_but_for_what_is_kept(api: Api) -> None:
    plain = defined(api, "plain").json()
    defined(api, **WHOLE | {"prerequisites": ["plain"]})
    shown = api.send("PUT", f"{BASE}/new-ui", {}).json()
    kept = {"name", *(FIELDS[part].wire_name for part in WholeDefinition.KEPT)}
    assert {part: shown[part] for part in WHOLE} == {
        part: WHOLE[part] if part in kept else plain[part] for part in WHOLE
    }


def test_prerequisites_in_another_order_are_the_same(api: Api) -> None:
    for name in ("a", "b"):
        defined(api, name)
    defined(api, prerequisites=["b", "a"])
    assert api.patch(f"{BASE}/new-ui", {"prerequisites": ["b", "a"]}).json()["version"] == 1


def test_a_salt_cannot_be_taken_away_but_a_flag_from_before_there_were_salts_is_written_as_it_is(api: Api) -> None:
    made = defined(api).json()
    for response in (api.patch(f"{BASE}/new-ui", {"salt": ""}), api.post(BASE, {"name": "other", "salt": ""})):
        assert (response.status_code, kind_of(response)) == (400, "invalid-definition")
    Flag.objects.update(salt="")
    again = api.send("PUT", f"{BASE}/new-ui", made | {"salt": "", "owner": "me"})
    assert (again.status_code, again.json()["salt"], again.json()["owner"]) == (200, "", "me")


def test_the_name_cannot_be_changed(api: Api) -> None:
    defined(api)
    for method in ("PUT", "PATCH"):
        assert wrong_fields(api.send(method, f"{BASE}/new-ui", {"name": "other"})) == {"name"}
        assert api.send(method, f"{BASE}/new-ui", {"name": "new-ui"}).status_code == 200


def test_a_level_goes_with_the_unit_ancestor(api: Api) -> None:
    defined(api)
    for body in ({"rolloutLevel": 1}, {"rolloutUnit": "ancestor"}, {"rolloutUnit": "organization", "rolloutLevel": 1}):
        for response in (api.patch(f"{BASE}/new-ui", body), api.post(BASE, {"name": "other", **body})):
            assert (response.status_code, kind_of(response)) == (400, "invalid-definition")
    assert api.patch(f"{BASE}/new-ui", {"rolloutUnit": "ancestor", "rolloutLevel": 0}).status_code == 200
    assert api.patch(f"{BASE}/new-ui", {"rolloutLevel": 2}).status_code == 200


def test_who_read_another_version_is_refused(api: Api, admin_key: str) -> None:
    old = defined(api)["ETag"]
    new = api.send("PATCH", f"{BASE}/new-ui", {"owner": "me"}, If_Match=old)
    assert new.status_code == 200
    assert new["ETag"] != old
    assert api.get(f"{BASE}/new-ui")["ETag"] == new["ETag"]
    for wrong in (old, f"W/{old}", "nonsense", "", '"a", "b"'):
        for method, body in (("PUT", {}), ("PATCH", {"owner": "you"}), ("DELETE", None)):
            response = api.send(method, f"{BASE}/new-ui", body, If_Match=wrong)
            assert (response.status_code, kind_of(response)) == (412, "flag-changed-meanwhile"), (wrong, method)
        assert Api(admin_key).send("DELETE", f"{BASE}/new-ui?purge=true", If_Match=wrong).status_code == 412
    assert Flag.objects.get().owner == "me"
    for right in ("*", f'"a", {new["ETag"]}'):
        assert api.send("PATCH", f"{BASE}/new-ui", {"owner": "me"}, If_Match=right).status_code == 200


def test_who_has_this_version_is_told_so(api: Api) -> None:
    etag = defined(api)["ETag"]
    for known in (etag, f"W/{etag}", "*", f'"x", {etag}'):
        response = api.send("GET", f"{BASE}/new-ui", If_None_Match=known)
        assert (response.status_code, response.content, response["ETag"]) == (304, b"", etag)
    assert api.send("GET", f"{BASE}/new-ui", If_None_Match='"x"').status_code == 200


def test_a_new_flag_of_an_old_name_has_another_etag(api: Api) -> None:
    old = defined(api)["ETag"]
    Flag.objects.all().delete()
    assert defined(api)["ETag"] != old


def test_deleting_archives_and_an_archived_flag_is_off_out_of_the_list_and_cannot_be_set(api: Api, cast: Cast) -> None:
    defined(api, enabled=True)
    planned(cast.oslo, flag="new-ui")
    response = api.delete(f"{BASE}/new-ui")
    assert response.json()["openSchedules"] == 1
    assert (response.status_code, response.json()["archived"], response.json()["version"]) == (200, True, 2)
    assert audit_entries_of("new-ui")[-1] == ("flag.archive", {"archived": False}, {"archived": True})
    assert names(api.get(BASE)) == []
    assert api.get(f"{BASE}/new-ui").json()["archived"] is True
    refused = api.post(f"/{cast.oslo.pk}/new-ui/true")
    assert (refused.status_code, kind_of(refused)) == (409, "flag-archived")
    assert api.delete(f"{BASE}/new-ui").json()["version"] == 2
    assert api.patch(f"{BASE}/new-ui", {"archived": False}).status_code == 200
    assert audit_entries_of("new-ui")[-1] == ("flag.update", {"archived": True}, {"archived": False})
    assert api.post(f"/{cast.oslo.pk}/new-ui/true").status_code == 200


def test_a_killed_flag_can_be_set(api: Api, cast: Cast) -> None:
    defined(api, killed=True)
    assert api.post(f"/{cast.oslo.pk}/new-ui/true").status_code == 200


def test_a_prerequisite_is_a_flag_that_there_is(api: Api) -> None:
    response = api.post(BASE, {"name": "new-ui", "prerequisites": ["other"]})
    assert (response.status_code, kind_of(response)) == (400, "unknown-prerequisite")
    assert "'other'" in response.json()["detail"]
    assert not Flag.objects.exists()
    defined(api, "other")
    defined(api, prerequisites=["other", "other"])
    api.patch(f"{BASE}/new-ui", {"prerequisites": []})
    assert audit_entries_of("new-ui")[-1] == ("flag.update", {"prerequisites": ["other"]}, {"prerequisites": []})


def test_a_circle_is_refused_with_the_way_round(api: Api) -> None:
    defined(api, "a")
    defined(api, "b", prerequisites=["a"])
    defined(api, "c", prerequisites=["b", "a"])
    for needed, way in ((["c"], "a -> c -> b -> a"), (["b"], "a -> b -> a"), (["a"], "a -> a")):
        response = api.patch(f"{BASE}/a", {"prerequisites": needed})
        assert (response.status_code, kind_of(response)) == (409, "prerequisite-cycle")
        assert way in response.json()["detail"] or needed == ["c"]
    assert kind_of(api.post(BASE, {"name": "d", "prerequisites": ["d"]})) == "prerequisite-cycle"
    assert api.get(f"{BASE}/a").json()["version"] == 1


def test_a_flag_that_is_needed_by_many_ways_is_looked_at_once() -> None:
    """Two flags a level would be 2 to the 20 ways."""
    looked_at: Counter[str] = Counter()

    class Edges(dict[str, list[str]]):
        def get(self, key: str, default: Any = ()) -> Any:
            looked_at[key] += 1
            assert looked_at[key] == 1
            return super().get(key, default)

    edges = Edges({f"{level}-{side}": [f"{level + 1}-0", f"{level + 1}-1"] for level in range(20) for side in (0, 1)})
    assert find_circle("top", ["0-0", "0-1"], edges) is None
    assert len(looked_at) == 42


def test_prerequisites_have_twenty_levels_at_most(api: Api) -> None:
    for number in range(21):
        defined(api, f"level-{number}", prerequisites=[f"level-{number - 1}"] if number else [])
    refused = api.post(BASE, {"name": "too-many", "prerequisites": ["level-20"]})
    assert (refused.status_code, kind_of(refused)) == (400, "invalid-definition")
    assert "20 levels" in refused.json()["detail"]
    defined(api, "below")
    assert api.patch(f"{BASE}/level-0", {"prerequisites": ["below"]}).status_code == 400  # counted downwards as well
    assert api.patch(f"{BASE}/level-1", {"prerequisites": ["below", "level-0"]}).status_code == 200


def test_readers_read_editors_write_and_bound_keys_read_without_what_others_wrote(api: Api, cast: Cast) -> None:
    made = defined(api, userWhitelist=["somebody"], rules=WHOLE["rules"]).json()
    set_flag(organization_id=cast.oslo.pk, flag_key="new-ui", enabled=True)
    reader, bound = Api(_key("r", Role.READER)), Api(_key("b", Role.ADMIN, cast.acme))
    assert reader.get(f"{BASE}/new-ui").json() == made
    hidden = dict.fromkeys(("userWhitelist", "rules", "salt", "createdBy", "updatedBy"))
    for shown in (bound.get(f"{BASE}/new-ui").json(), bound.get(BASE).json()["results"][0]):
        assert shown == made | hidden
    assert bound.get(f"{BASE}/new-ui")["ETag"] != reader.get(f"{BASE}/new-ui")["ETag"]
    for method, path in (("POST", BASE), ("PUT", f"{BASE}/new-ui"), ("PATCH", f"{BASE}/new-ui"),
                         ("DELETE", f"{BASE}/new-ui"), ("DELETE", f"{BASE}/new-ui?purge=true")):  # fmt: skip
        for client, kind in ((reader, "not-permitted"), (bound, "outside-of-your-subtree")):
            response = client.send(method, path, None if method == "DELETE" else {"name": "new-ui"})
            assert (response.status_code, kind_of(response)) == (403, kind)
    assert Flag.objects.get().version == 1


def test_a_request_that_is_repeated_with_its_key_is_answered_the_same(api: Api) -> None:
    first, second = (api.post(BASE, {"name": "new-ui"}, Idempotency_Key="k") for _ in range(2))
    assert (first.status_code, first.json(), first["ETag"]) == (second.status_code, second.json(), second["ETag"])


def test_a_flag_that_the_first_set_makes_is_in_the_audit_log(api: Api, cast: Cast) -> None:
    api.post(f"/{cast.oslo.pk}/new-ui/true")
    (action, before, after), following = audit_entries_of("new-ui")
    assert (action, before, following[0]) == ("flag.create", None, "flag.set")
    shown = api.get(f"{BASE}/new-ui").json()
    assert after == {part: shown[part] for part in WHOLE if part != "name"}
    assert api.get(f"{BASE}/new-ui").json()["createdBy"].startswith("key:")
