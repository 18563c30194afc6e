"""Creating, finding, changing, planning and deleting segments over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import Cast, _key
from flags.definitions import service as definitions
from flags.segments import service
from flags.segments.models import Segment
from flags.states.set_flag import set_flag
from flags.states.setting_rules import Below
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of, wrong_fields

BASE = "/v1/segments"
PRO = {"attribute": "plan", "op": "in", "values": ["pro"]}
WHOLE = {
    "key": "beta", "description": "Who tries new things.", "rules": [{"id": "pros", "clauses": [PRO]}],
    "included": ["ann"], "excluded": ["bob", "cleo"], "owner": "team a", "tags": ["a", "b"],
}  # fmt: skip


@pytest.fixture
def api(db: None) -> Api:
    return Api(_key("editor", Role.EDITOR))


def created(api: Api, key: str = "beta", **parts: Any) -> Any:
    response = api.post(BASE, {"key": key, **parts})
    assert response.status_code == 201, response.content
    return response


def asking(*keys: str, **more: Any) -> dict[str, Any]:
    """A rule of a segment that asks for segments."""
    return {"clauses": [{"op": "inSegment", "values": list(keys), **more}]}


def flag_asking(name: str, *keys: str) -> None:
    definitions.create(
        key=name, values={"targeting_rules": [asking(*keys) | {"serve": {"variant": "on"}}]}, by="user:olga"
    )


def test_a_change_from_1_to_true_is_a_change_and_can_be_undone(api: Api) -> None:
    def rules(value: Any) -> list[Any]:
        return [{"id": "r", "clauses": [{"attribute": "n", "op": "in", "values": [value]}]}]

    created(api, rules=rules(1))
    plan = api.post(f"{BASE}/beta/plan", {"rules": rules(True)}).json()
    assert [change["field"] for change in plan["changes"]] == ["rules"]
    changed = api.patch(f"{BASE}/beta", {"rules": rules(True)}).json()
    assert (changed["version"], changed["rules"][0]["clauses"][0]["values"][0]) == (2, True)
    assert changed["rules"][0]["clauses"][0]["values"][0] is True
    number = AuditEntry.objects.get(action="segment.update").details["changeNumber"]
    assert api.post(f"/v1/changes/{number}/undo", {}).status_code == 200
    restored = api.get(f"{BASE}/beta").json()["rules"][0]["clauses"][0]["values"][0]
    assert (restored, isinstance(restored, bool)) == (1, False)


def test_a_segment_is_created_with_all_its_parts_and_read_again(api: Api) -> None:
    made = created(api, **{part: value for part, value in WHOLE.items() if part != "key"})
    assert made["Location"] == f"{BASE}/beta"
    shown = made.json()
    assert {part: shown[part] for part in WHOLE} == WHOLE
    assert (shown["version"], shown["createdBy"]) == (1, shown["updatedBy"])
    read = api.get(f"{BASE}/beta")
    assert (read.json(), read["ETag"]) == (shown, made["ETag"])
    assert api.send("GET", f"{BASE}/beta", If_None_Match=made["ETag"]).status_code == 304
    entry = AuditEntry.objects.get(action="segment.create")
    assert (entry.subject, entry.details["after"]) == ("segment:beta", {n: v for n, v in WHOLE.items() if n != "key"})


def test_segments_are_found_by_tag_owner_and_a_part_of_their_texts(api: Api) -> None:
    created(api, "beta", owner="shop", tags=["q4"], description="Early birds")
    created(api, "staff", owner="shop")

    def found(**query: str) -> list[str]:
        return [row["key"] for row in api.get(BASE, **query).json()["results"]]

    assert found() == ["beta", "staff"]
    assert (found(tag="q4"), found(owner="shop"), found(search="BIRD"), found(search="taf")) == (
        ["beta"], ["beta", "staff"], ["beta"], ["staff"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"key": "two words"}, "key"),
        ({"key": "a" * 101}, "key"),
        ({"rules": {}}, "rules"),
        ({"rules": [{"clauses": [PRO], "serve": {"variant": "on"}}]}, "rules"),
        ({"rules": [{"clauses": []}]}, "rules"),
        ({"rules": [asking()]}, "rules"),
        ({"rules": [{"clauses": [{"op": "inSegment", "values": [1]}]}]}, "rules"),
        ({"rules": [{"clauses": [{"op": "inSegment", "attribute": "plan", "values": ["a"]}]}]}, "rules"),
        ({"included": ["\x00"]}, "included.0"),
        ({"included": [str(number) for number in range(10_001)]}, "included"),
        ({"excluded": [None]}, "excluded.0"),
        ({"tags": ["a" * 65]}, "tags.0"),
        ({"owner": "a" * 201}, "owner"),
        ({"who": "x"}, "who"),
    ],
)
def test_what_no_segment_can_have_is_refused_beside_its_field(api: Api, body: dict[str, Any], field: str) -> None:
    refused = api.post(BASE, {"key": "beta", **body})
    assert (refused.status_code, wrong_fields(refused)) == (400, {field}), refused.content
    assert not Segment.objects.exists()


def test_a_put_writes_the_whole_segment_and_a_patch_a_part(api: Api) -> None:
    created(api, **{part: value for part, value in WHOLE.items() if part != "key"})
    patched = api.patch(f"{BASE}/beta", {"included": ["ann", "zoe"]}).json()
    assert (patched["included"], patched["excluded"], patched["version"]) == (["ann", "zoe"], ["bob", "cleo"], 2)
    entry = AuditEntry.objects.get(action="segment.update")
    assert (entry.details["before"], entry.details["after"]) == ({"included": ["ann"]}, {"included": ["ann", "zoe"]})
    put = api.put(f"{BASE}/beta", {"rules": WHOLE["rules"]}).json()
    assert (put["rules"], put["included"], put["owner"], put["version"]) == (WHOLE["rules"], [], "", 3)
    assert api.put(f"{BASE}/beta", put).json()["version"] == 3, "it may be sent back as it was read"
    assert wrong_fields(api.patch(f"{BASE}/beta", {"key": "other"})) == {"key"}


def test_a_write_with_an_old_etag_is_refused(api: Api) -> None:
    old = created(api)["ETag"]
    assert api.patch(f"{BASE}/beta", {"owner": "a"}, If_Match=old).status_code == 200
    for refused in (
        api.patch(f"{BASE}/beta", {"owner": "b"}, If_Match=old),
        api.delete(f"{BASE}/beta", If_Match=old),
    ):
        assert (refused.status_code, kind_of(refused)) == (412, "segment-changed-meanwhile")
    assert api.delete(f"{BASE}/beta", If_Match="*").json()["owner"] == "a"
    assert not Segment.objects.exists()
    recreated = created(api)["ETag"]
    assert recreated != old


def test_what_does_not_exist_is_not_found_and_a_key_is_taken_once(api: Api) -> None:
    for refused in (api.get(f"{BASE}/gone"), api.patch(f"{BASE}/gone", {}), api.get(f"{BASE}/gone/uses")):
        assert (refused.status_code, kind_of(refused)) == (404, "segment-not-found")
    assert kind_of(api.get(f"{BASE}/two words")) == "invalid-segment-key"
    created(api)
    assert kind_of(api.post(BASE, {"key": "beta"})) == "segment-exists"


def test_a_rule_that_asks_for_an_unknown_segment_is_refused(api: Api) -> None:
    for refused in (
        api.post(BASE, {"key": "beta", "rules": [asking("gone")]}),
        api.post("/v1/feature-flags", {"name": "f", "rules": [asking("gone") | {"serve": {"variant": "on"}}]}),
    ):
        assert (refused.status_code, kind_of(refused)) == (400, "unknown-segment")
        assert refused.json()["detail"].startswith("There is no segment 'gone'.")
    created(api)
    flag_asking("f", "beta")
    rules = [asking("beta", "gone") | {"serve": {"variant": "on"}}]
    assert kind_of(api.patch("/v1/feature-flags/f", {"rules": rules})) == "unknown-segment"
    assert kind_of(api.post("/v1/feature-flags/f/plan", {"rules": rules})) == "unknown-segment"


def test_a_circle_is_refused_and_named(api: Api) -> None:
    created(api, "a")
    created(api, "b", rules=[asking("a")])
    created(api, "c", rules=[asking("b", negate=True)])
    refused = api.patch(f"{BASE}/a", {"rules": [asking("c")]})
    assert (refused.status_code, kind_of(refused)) == (409, "segment-cycle")
    assert "a -> c -> b -> a" in refused.json()["detail"]
    assert kind_of(api.patch(f"{BASE}/a", {"rules": [asking("a")]})) == "segment-cycle"
    assert kind_of(api.post(BASE, {"key": "new", "rules": [asking("new")]})) == "segment-cycle"


def test_segments_are_nested_five_deep_at_most_from_wherever_the_chain_grows(api: Api) -> None:
    created(api, "s1")
    for number in range(2, 6):
        created(api, f"s{number}", rules=[asking(f"s{number - 1}")])
    refused = api.post(BASE, {"key": "s6", "rules": [asking("s5")]})
    assert (refused.status_code, kind_of(refused)) == (400, "invalid-segment")
    assert "5 deep at most, and those of s6 would be 6 deep" in refused.json()["detail"]
    created(api, "below")
    assert kind_of(api.patch(f"{BASE}/s1", {"rules": [asking("below")]})) == "invalid-segment"
    assert Segment.objects.get(key="s1").rules == []


def test_a_segment_in_use_is_not_deleted_and_the_answer_says_where(api: Api) -> None:
    created(api, "a")
    created(api, "b", rules=[asking("a")])
    flag_asking("f", "a")
    flag_asking("g", "b")
    definitions.archive(key="f", by="user:olga")
    refused = api.delete(f"{BASE}/a")
    assert (refused.status_code, kind_of(refused)) == (409, "segment-needed")
    assert (refused.json()["flags"], refused.json()["segments"]) == (["f"], ["b"])
    assert "the flag f and the segment b" in refused.json()["detail"]
    definitions.update(key="f", values={"targeting_rules": []}, by="user:olga")
    assert api.patch(f"{BASE}/b", {"rules": []}).status_code == 200
    assert api.delete(f"{BASE}/a").status_code == 200
    assert AuditEntry.objects.get(action="segment.delete").details["after"] is None


def test_a_scheduled_change_of_rules_needs_its_segments_and_keeps_them(api: Api) -> None:
    created(api, "a")
    definitions.create(key="f", values={}, by="user:olga")

    def schedule(*keys: str) -> Any:
        wanted = {"rules": [asking(*keys) | {"serve": {"variant": "on"}}]}
        return api.post(
            "/v1/schedules", {"featureFlagName": "f", "apply": wanted, "scheduledAt": "2032-01-01T00:00:00Z"}
        )

    refused = schedule("gone")
    assert (refused.status_code, kind_of(refused)) == (400, "invalid-schedule"), refused.content
    assert "There is no segment 'gone'." in refused.json()["detail"]
    planned = schedule("a")
    assert planned.status_code == 201, planned.content
    number = planned.json()["schedules"][0]["id"]
    assert api.get(f"{BASE}/a/uses").json()["schedules"] == [number]
    refused = api.delete(f"{BASE}/a")
    assert (kind_of(refused), refused.json()["schedules"]) == ("segment-needed", [number])
    assert f"the scheduled change {number}" in refused.json()["detail"]
    assert api.post(f"/v1/schedules/{number}/cancel").status_code == 200
    assert api.delete(f"{BASE}/a").status_code == 200


def test_the_uses_name_flags_and_segments_also_through_others(api: Api) -> None:
    created(api, "a")
    created(api, "b", rules=[asking("a")])
    created(api, "c", rules=[asking("b")])
    flag_asking("direct", "a", "c")
    flag_asking("far", "c")
    flag_asking("other", "c")
    definitions.archive(key="other", by="user:olga")
    assert api.get(f"{BASE}/a/uses").json() == {
        "flags": [
            {"name": "direct", "archived": False, "through": []},
            {"name": "far", "archived": False, "through": ["c", "b"]},
            {"name": "other", "archived": True, "through": ["c", "b"]},
        ],
        "segments": [{"key": "b", "through": []}, {"key": "c", "through": ["b"]}],
        "schedules": [],
    }
    assert api.get(f"{BASE}/c/uses").json()["segments"] == []


def test_the_plan_names_the_flags_and_at_most_so_many_organizations(api: Api, cast: Cast) -> None:
    created(api, "a")
    created(api, "b", rules=[asking("a")])
    flag_asking("f", "b")
    definitions.create(key="needs-f", values={"prerequisites": ["f"]}, by="user:olga")
    total = api.post(f"{BASE}/a/plan", {"included": ["ann"]}).json()["organizations"]
    set_flag(organization_id=cast.north.pk, flag_key="f", enabled=True, below=Below.LOCK)
    plan = api.post(f"{BASE}/a/plan", {"included": ["ann"], "excluded": ["bob"]}).json()
    below = 1 + cast.north.get_descendant_count()
    assert (plan["flags"], plan["segments"], plan["neededBy"]) == (["f"], ["b"], ["needs-f"])
    assert (plan["changed"], plan["unchanged"], plan["isEstimate"]) == (total - below, below, True)
    assert (plan["keysAdded"], plan["keysRemoved"]) == (2, 0)
    assert {each["field"] for each in plan["changes"]} == {"included", "excluded"}
    assert Segment.objects.get(key="a").version == 1
    words = api.post(f"{BASE}/a/plan", {"description": "x"}).json()
    assert (words["flags"], words["changed"], words["isEstimate"]) == ([], 0, False)
    definitions.update(key="f", values={"killed": True}, by="user:olga")
    killed = api.post(f"{BASE}/a/plan", {"included": ["ann"]}).json()
    assert (killed["flags"], killed["changed"]) == (["f"], 0)


def test_a_change_with_an_old_plan_or_for_too_many_organizations_is_refused(api: Api, cast: Cast) -> None:
    created(api, "a")
    flag_asking("f", "a")
    body = {"included": ["ann"]}
    plan = api.post(f"{BASE}/a/plan", body).json()
    refused = api.patch(f"{BASE}/a", {**body, "atMost": plan["changed"] - 1})
    assert kind_of(refused) == "blast-radius"
    flag_asking("g", "a")
    assert kind_of(api.patch(f"{BASE}/a", {**body, "planHash": plan["planHash"]})) == "plan-stale"
    plan = api.post(f"{BASE}/a/plan", body).json()
    assert api.patch(f"{BASE}/a", {**body, "planHash": plan["planHash"], "atMost": plan["changed"]}).status_code == 200
    stale = api.patch(f"{BASE}/a", {"included": [], "planHash": plan["planHash"]})
    assert "another version now: 2" in stale.json()["detail"]


def test_for_a_bound_key_there_are_no_segments_and_it_writes_none(api: Api, cast: Cast) -> None:
    created(api)
    bound = Api(_key("bound", Role.ADMIN, cast.north))
    assert bound.get(BASE).json()["results"] == []
    assert kind_of(bound.get(f"{BASE}/beta")) == kind_of(bound.get(f"{BASE}/beta/uses")) == "segment-not-found"
    for refused in (
        bound.post(BASE, {"key": "x"}), bound.patch(f"{BASE}/beta", {"owner": "x"}), bound.delete(f"{BASE}/beta"),
        bound.put(f"{BASE}/beta", {}), bound.post(f"{BASE}/beta/plan", {}), bound.patch(f"{BASE}/gone", {}),
    ):  # fmt: skip
        assert (refused.status_code, kind_of(refused)) == (403, "outside-of-your-subtree")


def test_the_setting_says_which_role_may_write_segments(api: Api, settings: Any) -> None:
    service.create(key="beta", values={}, by="user:olga")
    settings.FLAGS_DEFINED_BY = "admin"
    assert kind_of(api.patch(f"{BASE}/beta", {"owner": "x"})) == "not-permitted"
