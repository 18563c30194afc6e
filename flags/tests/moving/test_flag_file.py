"""The flag file: an export of what was imported has the same bytes, and a file is written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import Cast, _key
from flags.definitions import service
from flags.definitions.fields import FIELDS
from flags.definitions.models import Flag
from flags.moving import flag_file, writing
from flags.moving.serializers import entries_of
from flags.moving.writing import Mode
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of
from orgs.tests.commands import run

pytestmark = pytest.mark.django_db
FILE = "/v1/flag-file"


@pytest.fixture
def api(db: None) -> Api:
    return Api(_key("editor", Role.EDITOR))


def a_file(*flags: Any) -> dict[str, Any]:
    return {"format": flag_file.FORMAT, "flags": list(flags)}


def exported() -> str:
    return flag_file.text_of(flag_file.document())


TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), min_size=1, max_size=8)
CLAUSES = st.one_of(
    st.builds(
        lambda values: {"attribute": "plan", "op": "in", "values": values}, st.lists(TEXTS, min_size=1, max_size=3)
    ),
    st.builds(lambda n: {"attribute": "age", "op": "gte", "values": [n], "negate": True}, st.integers(-9, 9)),
    st.just({"op": "inSubtree", "values": ["acme"]}),
)
SERVES = st.one_of(
    st.sampled_from([{"variant": "on"}, {"variant": "off"}]),
    st.integers(0, 100_000).map(lambda n: {"rollout": {"on": n / 1000, "off": (100_000 - n) / 1000}}),
)
RULES = st.lists(
    st.fixed_dictionaries({"clauses": st.lists(CLAUSES, min_size=1, max_size=3), "serve": SERVES}), max_size=3
)
FLAGS = st.fixed_dictionaries(
    {
        "enabled": st.booleans(),
        "description": st.just("") | TEXTS,
        "rolloutPercentage": st.none() | st.integers(0, 100_000).map(lambda n: n / 1000),
        "salt": TEXTS,
        "userWhitelist": st.lists(TEXTS, max_size=3, unique=True),
        "rules": RULES,
        "environments": st.dictionaries(st.sampled_from(["staging", "production"]), st.booleans()),
        "tags": st.lists(TEXTS.map(str.strip).filter(bool), max_size=3, unique=True),
        "killed": st.booleans(),
        "expiresOn": st.none() | st.dates().map(lambda day: day.isoformat()),
    }
)


@given(st.dictionaries(st.sampled_from("abcde"), FLAGS, max_size=4), st.data())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_export_of_what_was_imported_has_the_same_bytes(db: None, flags: dict[str, Any], data: Any) -> None:
    names = sorted(flags)
    for place, name in enumerate(names):  # needs only names before it, so there is no circle
        needed = data.draw(st.lists(st.sampled_from(names[:place]), unique=True)) if place else []
        wants = st.sampled_from([{}, {"is": "off"}, {"variant": "on"}])
        flags[name]["prerequisites"] = [{"flag": key, **data.draw(wants)} for key in needed]
    entries = [{"name": name, **values} for name, values in flags.items()]
    writing.write(entries_of(entries), Mode.MIRROR, by="user:ada")
    first = exported()
    content = json.loads(first)
    assert [flag["name"] for flag in content["flags"]] == names
    assert all(
        flags[flag["name"]].items() <= flag.items() or "rules" in flags[flag["name"]] for flag in content["flags"]
    )
    before = AuditEntry.objects.count()
    again = writing.write(entries_of(content["flags"]), Mode.MIRROR, by="user:ada")
    assert exported() == first
    assert {flag.action for flag in again.flags} <= {"none"}
    assert AuditEntry.objects.count() == before, "nothing was written"
    Flag.objects.all().delete()
    writing.write(entries_of(content["flags"]), Mode.MERGE, by="user:ada")
    assert exported() == first, "in an empty Flagsite too"


def test_the_file_has_every_definition_field_sorted_and_no_counted_ones(api: Api) -> None:
    service.create(key="b", values={"rollout_percentage": 12.5}, by="user:ada")
    service.create(key="a", values={}, by="user:ada")
    service.create(key="gone", values={"archived": True}, by="user:ada")
    text = run("export_flags").out
    content = json.loads(text)
    assert text == json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert [flag["name"] for flag in content["flags"]] == ["a", "b"]
    assert set(content["flags"][0]) == {"name", *(spec.wire_name for spec in FIELDS.values())}
    assert api.get(FILE).json() == content
    with_archived = api.get(FILE, archived="true").json()
    assert [flag["name"] for flag in with_archived["flags"]] == ["a", "b", "gone"]


def test_types_and_variants_come_along(api: Api) -> None:
    variants = [{"key": "blue", "value": "#00f"}, {"key": "red", "value": "#f00"}]
    flag = {"name": "colour", "type": "string", "variants": variants, "defaultVariant": "red", "enabled": True}
    assert api.put(FILE, a_file(flag)).status_code == 200
    first = exported()
    assert json.loads(first)["flags"][0].items() >= flag.items()
    assert api.put(FILE, json.loads(first)).json()["unchanged"] == 1
    Flag.objects.all().delete()
    api.post(FILE, json.loads(first))
    assert exported() == first
    refused = api.put(FILE, a_file(flag | {"type": "integer", "variants": [{"key": "a", "value": 1}]}))
    assert (refused.status_code, kind_of(refused), refused.json()["flag"]) == (409, "flag-type-immutable", "colour")


def test_merge_adds_and_changes_and_leaves_the_rest(api: Api) -> None:
    service.create(key="kept", values={"owner": "shop"}, by="user:ada")
    service.create(key="changed", values={"owner": "shop", "description": "Old."}, by="user:ada")
    answer = api.post(FILE, a_file({"name": "new"}, {"name": "changed", "description": "New."}) | {"reason": "move"})
    assert answer.json() == {
        "mode": "merge", "created": 1, "changed": 1, "archived": 0, "unchanged": 0, "segments": [],
        "flags": [
            {"name": "changed", "action": "change",
             "changes": [{"field": "description", "before": "Old.", "after": "New."}]},
            {"name": "new", "action": "create", "changes": []},
        ],
    }  # fmt: skip
    assert Flag.objects.get(key="changed").owner == "shop"
    entries = AuditEntry.objects.filter(reason="move").order_by("id").values_list("action", "subject")
    assert sorted(entries) == [("flag.create", "flag:new"), ("flag.update", "flag:changed")]


def test_mirror_archives_what_the_file_has_not_restores_what_it_has_and_resets_what_it_leaves_out(api: Api) -> None:
    service.create(key="gone", values={}, by="user:ada")
    service.create(key="long-gone", values={"archived": True}, by="user:ada")
    service.create(key="back", values={"archived": True, "salt": "old"}, by="user:ada")
    service.create(key="changed", values={"owner": "shop"}, by="user:ada")
    answer = api.put(FILE, a_file({"name": "back"}, {"name": "changed"})).json()
    assert {flag["name"]: flag["action"] for flag in answer["flags"]} == {
        "back": "change", "changed": "change", "gone": "archive"
    }  # fmt: skip
    assert dict(Flag.objects.values_list("key", "archived")) == {
        "gone": True, "long-gone": True, "back": False, "changed": False
    }  # fmt: skip
    assert Flag.objects.get(key="changed").owner == ""
    assert Flag.objects.get(key="back").salt == "old"
    assert AuditEntry.objects.filter(action="flag.archive").get().subject == "flag:gone"


@pytest.mark.parametrize("mode", ["merge", "mirror"])
def test_a_plan_says_what_the_write_does_and_writes_nothing(api: Api, mode: str) -> None:
    service.create(key="gone", values={}, by="user:ada")
    service.create(key="changed", values={"owner": "shop"}, by="user:ada")
    content = a_file({"name": "new"}, {"name": "changed", "enabled": True})
    before, entries = exported(), AuditEntry.objects.count()
    plan = api.post(f"{FILE}/plan?mode={mode}", content)
    assert (exported(), AuditEntry.objects.count()) == (before, entries)
    written = api.send("POST" if mode == "merge" else "PUT", FILE, content, If_Match=plan["ETag"])
    assert written.json() == plan.json()
    assert exported() != before


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_flags_that_the_file_does_not_have_count_for_the_order(api: Api, method: str) -> None:
    for key, needs in (("a", []), ("b", ["a"]), ("c", []), ("d", []), ("middle", ["b"])):
        service.create(key=key, values={"prerequisites": needs}, by="x")
    wanted = {"a": ["middle"], "b": ["c"], "c": ["d"], "d": [], "middle": ["b"], "new": []}
    left_out = "middle" if method == "POST" else ""
    flags = [{"name": key, "prerequisites": needs} for key, needs in wanted.items() if key != left_out]
    assert api.send(method, FILE, {"flags": flags}).status_code == 200
    found = {flag.key: [each.key for each in flag.prerequisites.all()] for flag in Flag.objects.all()}
    assert found == wanted


def test_a_mirrored_file_takes_away_the_prerequisites_that_it_leaves_out(api: Api) -> None:
    for key, needs in (("a", []), ("b", ["a"])):
        service.create(key=key, values={"prerequisites": needs}, by="x")
    assert api.send("PUT", FILE, {"flags": [{"name": "a", "prerequisites": ["b"]}, {"name": "b"}]}).status_code == 200
    assert not Flag.objects.get(key="b").prerequisites.exists()


def test_prerequisites_may_turn_around_and_stand_in_any_order(api: Api) -> None:
    service.create(key="a", values={}, by="user:ada")
    service.create(key="b", values={"prerequisites": ["a"]}, by="user:ada")
    turned = a_file({"name": "a", "prerequisites": ["b", "new"]}, {"name": "b", "prerequisites": []}, {"name": "new"})
    assert api.post(FILE, turned).status_code == 200
    assert sorted(Flag.objects.get(key="a").prerequisites.values_list("key", flat=True)) == ["b", "new"]


@pytest.mark.parametrize(
    ("flags", "kind", "flag"),
    [
        ([{"name": "ok"}, {"name": "x", "prerequisites": ["nothing"]}], "unknown-prerequisite", "x"),
        ([{"name": "x", "prerequisites": ["y"]}, {"name": "y", "prerequisites": ["x"]}], "prerequisite-cycle", ""),
        ([{"name": "ok"}, {"name": "going"}], "flag-purging", "going"),
        ([{"name": "ok"}, {"name": "x", "rolloutUnit": "ancestor"}], "invalid-definition", "x"),
    ],
)
def test_a_conflict_is_a_problem_that_names_the_flag_and_writes_nothing(
    api: Api, flags: list[Any], kind: str, flag: str
) -> None:
    Flag.objects.create(key="going", archived=True, purging=True)
    for answer in (
        api.put(FILE, a_file(*flags)),
        api.post(FILE, a_file(*flags)),
        api.post(f"{FILE}/plan", a_file(*flags)),
    ):
        assert kind_of(answer) == kind
        assert answer.json()["flag"] in ([flag] if flag else ["x", "y"])
        assert answer.json()["flag"] in answer.json()["detail"]
    assert Flag.objects.count() == 1


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([{"name": "x", "rolloutPercentage": 200}], "The flag 'x': rolloutPercentage: Not a number from 0 to 100."),
        ([{"name": "x", "colour": "red"}], "The flag 'x': colour: This field does not exist here."),
        ([{"name": "x"}, {"name": "x"}], "The flag 'x' is there twice."),
        ([{"owner": "me"}], "A flag without a name: name:"),
        ("flags", "Not a list"),
    ],
)
def test_a_wrong_flag_is_named_with_its_field(api: Api, flags: Any, words: str) -> None:
    answer = api.post(FILE, {"flags": flags})
    assert kind_of(answer) == "invalid-input"
    assert answer.json()["errors"][0]["field"] == "flags"
    assert words in answer.json()["errors"][0]["message"]


def test_the_etag_is_that_of_the_definitions(api: Api) -> None:
    service.create(key="a", values={}, by="user:ada")
    first = api.get(FILE)
    assert api.get(FILE)["ETag"] == first["ETag"]
    assert api.send("GET", FILE, If_None_Match=first["ETag"]).status_code == 304
    service.update(key="a", values={"owner": "me"}, by="user:ada")
    assert api.send("GET", FILE, If_None_Match=first["ETag"]).status_code == 200
    refused = api.put(FILE, first.json(), If_Match=first["ETag"])
    assert (refused.status_code, kind_of(refused)) == (412, "flag-file-changed-meanwhile")
    accepted = api.put(FILE, first.json(), If_Match=api.get(FILE)["ETag"])
    assert (accepted.status_code, accepted["ETag"]) == (200, first["ETag"])


def test_only_who_sees_all_definitions_reads_the_file_and_only_who_defines_writes_it(cast: Cast) -> None:
    bound, reader = Api(_key("b", Role.ADMIN, cast.acme)), Api(_key("r", Role.READER))
    for answer in (bound.get(FILE), bound.put(FILE, a_file()), bound.post(FILE, a_file())):
        assert (answer.status_code, kind_of(answer)) == (403, "outside-of-your-subtree")
    assert bound.post(f"{FILE}/plan", a_file()).status_code == 403
    assert reader.get(FILE).status_code == 200
    assert reader.put(FILE, a_file()).status_code == 403


def test_the_commands_export_plan_merge_and_mirror(tmp_path: Path) -> None:
    service.create(key="a", values={"owner": "shop"}, by="user:ada")
    file = tmp_path / "flags.json"
    assert run("export_flags", file).out == f"1 flag written to {file}.\n"
    assert file.read_text() == run("export_flags").out == run("export_flags", "--json").out
    service.update(key="a", values={"owner": "me"}, by="user:ada")
    service.create(key="b", values={}, by="user:ada")
    planned = run("import_flags", file, "--plan", "--mirror")
    assert planned.lines[0] == 'a is changed (owner: "me" → "shop")'
    assert planned.lines[-3:-1] == ["2 flags: 0 defined, 1 changed, 1 archived, 0 unchanged.", "Nothing was written."]
    assert run("import_flags", file, "--reason", "back", "--json").document["changed"] == 1
    assert Flag.objects.get(key="b").archived is False
    run("import_flags", file, "--mirror", "--reason", "back")
    assert Flag.objects.get(key="b").archived is True
    assert set(AuditEntry.objects.filter(reason="back").values_list("action", flat=True)) == {
        "flag.update", "flag.archive"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is not JSON"),
        ('{"flags": [], "flags": []}', "occurs twice"),
        ("[]", "is not a flag file"),
        ('{"flags": [{"name": "x", "salt": 1}]}', "The flag 'x': salt: Not a string."),
        ('{"flags": [], "format": "other"}', "flagsite-flags-1"),
        ('{"flags": NaN}', "NaN is not a number of JSON"),
    ],
)
def test_a_command_refuses_what_is_no_flag_file_in_words(tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "flags.json"
    file.write_text(content)
    refused = run("import_flags", file)
    assert (refused.status, words in refused.error) == (1, True), refused.error
    assert "cannot be opened" in run("import_flags", tmp_path / "nothing.json").error
    assert "cannot be written" in run("export_flags", tmp_path / "no" / "folder.json").error
