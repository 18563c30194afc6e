"""Types, variants and schemas of definitions, over HTTP, by commands and in the service."""

from __future__ import annotations

import json
from html import unescape
from typing import Any

import pytest

from conftest import Cast, _key
from flags.definitions import service, typed_definitions
from flags.definitions.loader import load_definitions
from flags.definitions.models import Flag
from flags.errors import VariantInUse
from flags.history.models import FormerDefinition
from flags.schedules import plan
from flags.states.models import FlagSetting
from flags.tests.schedules.plans import OPS
from flags.undoing import undo
from flags.values.types import FlagType
from flags.values.variants import Variant
from flagsite.core.db.clock import now
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of, wrong_fields
from orgs.tests.commands import run
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
BASE = "/v1/feature-flags"
BLUE, RED = {"key": "blue", "value": "#00f"}, {"key": "red", "value": "#f00"}
PROS = {"id": "pros", "clauses": [{"attribute": "plan", "op": "in", "values": ["pro"]}], "serve": {"variant": "red"}}
COLOR = {
    "name": "button-color", "type": "string", "enabled": True, "defaultVariant": "blue", "offVariant": None,
    "variants": [BLUE, RED], "rules": [PROS], "schema": {"type": "string", "pattern": "^#[0-9a-f]{3}$"},
}  # fmt: skip


@pytest.fixture
def api(db: None) -> Api:
    return Api(_key("editor", Role.EDITOR))


def defined(api: Api, **parts: Any) -> Any:
    response = api.post(BASE, COLOR | parts)
    assert response.status_code == 201, response.content
    return response.json()


def patched(api: Api, **parts: Any) -> Any:
    return api.patch(f"{BASE}/button-color", parts)


def numbers() -> dict[str, int]:
    return {each["key"]: each["number"] for each in Flag.objects.get().variants}


def test_a_typed_flag_is_defined_read_and_sent_back(api: Api) -> None:
    made = defined(api)
    assert {name: made[name] for name in COLOR} == COLOR
    again = api.send("PUT", f"{BASE}/button-color", made)
    assert (again.status_code, again.json()) == (200, made)
    entry = AuditEntry.objects.get(action="flag.create")
    assert entry.details["after"]["variants"] == [BLUE, RED]


def test_evaluation_gets_type_variants_and_their_numbers(api: Api) -> None:
    defined(api, offVariant="red")
    definition = load_definitions()["button-color"]
    assert (definition.type, definition.default_variant, definition.off_variant) == (FlagType.STRING, "blue", "red")
    assert definition.variants == (Variant(1, "blue", "#00f"), Variant(2, "red", "#f00"))
    assert [rule.variant for rule in definition.targeting_rules] == ["red"]


def test_the_first_variant_is_the_default_of_a_new_flag_that_names_none(api: Api) -> None:
    parts = {name: value for name, value in COLOR.items() if name != "defaultVariant"}
    assert api.post(BASE, parts).json()["defaultVariant"] == "blue"
    assert patched(api, defaultVariant=None).json()["defaultVariant"] is None


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("type", [None, "", "text", 1, [], {}]),
        ("variants", [None, {}, "blue", [1], [{"key": "a"}], [{"key": "a b", "value": 1}], [{"key": 1, "value": 1}],
                      [{"key": "a", "value": 1, "number": 1}], [{"key": "a", "value": "\x00"}],
                      [{"key": "a", "value": {"\ud800": 1}}]]),
        ("defaultVariant", [1, "", "-a", "a b", "a" * 256, [], {}, "\x00"]),
        ("offVariant", [1, "", "-a", "a b", "a" * 256, [], {}, "\ud800"]),
        ("schema", [1, [], "x", True, {"type": "colour"}, {"$ref": "https://example.com/x"}, {"pattern": "("},
                    {"unevaluatedProperties": False}, {"properties": {"a": {"$id": "x"}}}, {"const": "\x00"}]),
    ],
)  # fmt: skip
def test_nonsense_in_a_part_is_told_by_its_name(api: Api, part: str, values: list[Any]) -> None:
    defined(api)
    for value in values:
        for refused in (api.post(BASE, {"name": "new", part: value}), patched(api, **{part: value})):
            assert {field.partition(".")[0] for field in wrong_fields(refused)} == {part}, value


def test_an_old_client_does_not_take_type_and_variants_away(api: Api) -> None:
    made = defined(api)
    put = api.send("PUT", f"{BASE}/button-color", {"description": "New.", "enabled": True}).json()
    assert {name: put[name] for name in COLOR} == {name: made[name] for name in COLOR}


@pytest.mark.parametrize("parts", [
    {}, {"variants": [{"key": "on", "value": True}, {"key": "off", "value": False}], "type": "boolean"},
    {"defaultVariant": "on", "offVariant": "off"},
])  # fmt: skip
def test_a_boolean_flag_lists_none_of_its_two_variants(api: Api, parts: dict[str, Any]) -> None:
    made = api.post(BASE, {"name": "plain", **parts}).json()
    assert [made[name] for name in ("type", "variants", "defaultVariant", "offVariant", "schema")] == [
        "boolean", [], None, None, None,
    ]  # fmt: skip
    assert api.patch(f"{BASE}/plain", parts).json()["version"] == 1
    assert Flag.objects.get().variants_made == 0


@pytest.mark.parametrize("parts", [
    {"variants": [{"key": "on", "value": True}]},
    {"variants": [{"key": "on", "value": False}, {"key": "off", "value": True}]},
    {"variants": [{"key": "on", "value": 1}, {"key": "off", "value": 0}]},
    {"variants": [BLUE]}, {"defaultVariant": "off"},
    {"offVariant": "on"}, {"schema": {}}, {"rules": [PROS]},
])  # fmt: skip
def test_a_boolean_flag_takes_no_other_variants(api: Api, parts: dict[str, Any]) -> None:
    refused = api.post(BASE, {"name": "plain", **parts})
    assert (refused.status_code, kind_of(refused)) == (400, "invalid-definition")
    assert next(iter(parts)) in refused.json()["detail"]


def test_a_type_never_changes(api: Api) -> None:
    defined(api)
    for method in ("PUT", "PATCH"):
        refused = api.send(method, f"{BASE}/button-color", {"type": "object"})
        assert (refused.status_code, kind_of(refused)) == (409, "flag-type-immutable")
    assert patched(api, type="string").json()["version"] == 1
    assert kind_of(api.post(f"{BASE}/button-color/plan", {"type": "float"})) == "flag-type-immutable"
    assert "cannot be changed" in run("change_flag", "button-color", "type=boolean").error


@pytest.mark.parametrize(
    ("flag_type", "wrong"),
    [
        ("string", [1, True, None, {}, []]),
        ("integer", [1.0, 0.5, "1", True, None, 2**53, -(2**53), {}, 1e22]),
        ("float", ["1", True, None, {}, 10**400]),
        ("object", [1, "x", True, None, [1], [{}], {"n": 2**53}]),
    ],
)
def test_a_value_of_another_type_is_refused(api: Api, flag_type: str, wrong: list[Any]) -> None:
    for value in wrong:
        body = {"name": "f", "type": flag_type, "variants": [{"key": "a", "value": value}]}
        assert api.post(BASE, body).status_code == 400, value
    assert not Flag.objects.exists()


@pytest.mark.parametrize(
    ("flag_type", "value", "kept"),
    [
        ("integer", 2**53 - 1, "9007199254740991"), ("integer", 0, "0"), ("float", 1, "1.0"), ("float", 1e22, "1e+22"),
        ("float", 0.1, "0.1"), ("float", -0.0, "0.0"), ("object", {"b": [1, 1.0, None], "a": {"n": 1e22}}, None),
        ("string", "", '""'), ("string", "x" * 16_000, None),
    ],
)  # fmt: skip
def test_a_value_is_read_as_it_was_written_and_a_float_has_a_point(
    api: Api, flag_type: str, value: Any, kept: str | None
) -> None:
    made = api.post(BASE, {"name": "f", "type": flag_type, "variants": [{"key": "a", "value": value}]})
    assert made.status_code == 201, made.content
    read = api.get(f"{BASE}/f")
    if kept is not None:
        assert f'"value":{kept}'.encode() in read.content.replace(b'": ', b'":').replace(b"-0.0", b"0.0")
    assert read.json()["variants"] == [{"key": "a", "value": value}]
    assert api.send("PUT", f"{BASE}/f", read.json()).json()["version"] == 1


def test_values_that_only_python_takes_for_equal_are_a_change(api: Api) -> None:
    parts: dict[str, Any] = {"type": "object", "rules": [], "schema": None, "defaultVariant": "a"}
    defined(api, **parts, variants=[{"key": "a", "value": {"x": 1}}])
    for version, value in enumerate((True, 1.0, 1), 2):
        assert patched(api, variants=[{"key": "a", "value": {"x": value}}]).json()["version"] == version


@pytest.mark.parametrize("variants", [
    [], [BLUE, BLUE], [{"key": str(number), "value": "x"} for number in range(251)],
    [{"key": "a", "value": "x" * 2**14}], [{"key": "", "value": "x"}], [{"key": "a" * 256, "value": "x"}],
])  # fmt: skip
def test_variants_have_keys_of_their_own_and_there_are_1_to_250(api: Api, variants: list[Any]) -> None:
    refused = api.post(BASE, {"name": "f", "type": "string", "variants": variants})
    assert refused.status_code == 400
    assert "variants" in str(refused.json())


def test_250_variants_are_allowed(api: Api) -> None:
    variants = [{"key": str(number), "value": number} for number in range(250)]
    assert api.post(BASE, {"name": "f", "type": "integer", "variants": variants}).json()["variants"] == variants


def test_an_object_is_at_most_20_levels_deep(api: Api) -> None:
    def nested(levels: int) -> Any:
        return {"a": nested(levels - 1)} if levels > 1 else {"a": 1}

    for levels, status in ((20, 201), (21, 400), (200, 400)):
        body = {"name": f"f{levels}", "type": "object", "variants": [{"key": "a", "value": nested(levels)}]}
        assert api.post(BASE, body).status_code == status


@pytest.mark.parametrize("parts", [
    {"defaultVariant": "green"}, {"offVariant": "green"}, {"rules": [PROS | {"serve": {"variant": "on"}}]},
    {"variants": [RED, {"key": "blue", "value": "blue"}]}, {"schema": {"maxLength": 2}},
])  # fmt: skip
def test_a_definition_names_its_own_variants_and_their_values_fit_the_schema(api: Api, parts: dict[str, Any]) -> None:
    made = defined(api)
    refused = patched(api, **parts)
    assert (refused.status_code, kind_of(refused)) == (400, "invalid-definition"), refused.content
    assert kind_of(api.post(BASE, COLOR | parts | {"name": "other"})) == "invalid-definition"
    assert api.get(f"{BASE}/button-color").json() == made


@pytest.mark.parametrize(
    ("change", "is_checked"),
    [
        ({"offVariant": "red"}, False), ({"rules": []}, False), ({"variants": [BLUE, RED]}, False),
        ({"variants": [BLUE]}, True), ({"schema": None}, True),
        ({"schema": {"type": "string"}}, True), ({"schema": {"const": "x"}}, True),
    ],
)  # fmt: skip
def test_values_are_checked_again_only_if_they_or_the_schema_change(
    api: Api, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], is_checked: bool
) -> None:
    checked = []
    defined(api, rules=[])
    monkeypatch.setattr(typed_definitions, "check_values", lambda *args: checked.append(args))
    assert patched(api, **change).status_code == 200
    assert bool(checked) is is_checked


def test_a_variant_keeps_its_number_and_no_other_gets_it(api: Api) -> None:
    defined(api, rules=[])
    assert numbers() == {"blue": 1, "red": 2}
    patched(api, variants=[RED, {"key": "green", "value": "#0f0"}, BLUE])
    assert numbers() == {"red": 2, "green": 3, "blue": 1}
    patched(api, variants=[BLUE])
    patched(api, variants=[BLUE, {"key": "pink", "value": "#f0f"}, RED])
    assert numbers() == {"blue": 1, "pink": 4, "red": 5}
    assert "number" not in str(api.get(f"{BASE}/button-color").json()["variants"])


def test_an_undo_brings_a_variant_back_with_its_number(api: Api) -> None:
    defined(api, rules=[])
    patched(api, variants=[BLUE])
    number = FormerDefinition.objects.latest("id").replaced_by
    undone = undo.find(Caller("user:olga", Role.EDITOR), number)
    assert undone.plan().restores[0].after == [BLUE, RED]
    undone.undo()
    assert numbers() == {"blue": 1, "red": 2}
    patched(api, variants=[BLUE, RED, {"key": "green", "value": "#0f0"}])
    assert numbers()["green"] == 3


def test_a_variant_that_is_used_is_not_removed_and_the_answer_lists_the_places(api: Api, cast: Cast) -> None:
    defined(api, offVariant="red")
    flag = Flag.objects.get()
    FlagSetting.objects.create(
        flag=flag, organization=cast.oslo, number=7, kind=FlagSetting.Kind.SET, enabled=True, variant=2
    )
    scheduled = plan.plan_once(
        OPS, plan.ScheduleRequest("button-color"), wanted={"defaultVariant": "red"}, at=now()
    )  # fmt: skip
    refused = patched(api, variants=[BLUE])
    assert (refused.status_code, kind_of(refused)) == (409, "variant-in-use")
    assert refused.json()["places"] == [
        {"place": "offVariant", "variant": "red"},
        {"place": "rule", "variant": "red", "ruleId": "pros"},
        {"place": "setting", "variant": "red", "organizationId": cast.oslo.pk},
        {"place": "schedule", "variant": "red", "scheduleId": scheduled.pk},
    ]
    assert kind_of(api.post(f"{BASE}/button-color/plan", {"variants": [BLUE]})) == "variant-in-use"
    wanting = {"name": "wanting", "prerequisites": [{"flag": "button-color", "variant": "red"}]}
    assert api.post(BASE, wanting).status_code == 201
    place = {"place": "prerequisite", "variant": "red", "neededBy": "wanting"}
    assert place in patched(api, variants=[BLUE]).json()["places"]
    assert api.patch(f"{BASE}/wanting", {"prerequisites": []}).status_code == 200
    FlagSetting.objects.all().delete()
    refused = patched(api, variants=[BLUE], offVariant=None, rules=[])
    assert [place["place"] for place in refused.json()["places"]] == ["schedule"]
    flag.schedules.all().delete()
    assert patched(api, variants=[BLUE], offVariant=None, rules=[]).status_code == 200


def test_at_most_20_places_are_listed(api: Api) -> None:
    rules = [PROS | {"id": f"r{number}"} for number in range(50)]
    defined(api, rules=rules)
    with pytest.raises(VariantInUse, match="in more places") as caught:
        service.update(key="button-color", values={"variants": [BLUE]}, by="user:olga")
    assert len(caught.value.members["places"]) == 20


def test_a_scheduled_change_sets_the_default_variant(api: Api) -> None:
    defined(api)
    body = {"featureFlagName": "button-color", "scheduledAt": "2030-01-01T00:00:00Z"}
    made = api.post("/v1/schedules", body | {"apply": {"defaultVariant": "red"}})
    assert made.status_code == 201, made.content
    refused = api.post("/v1/schedules", body | {"apply": {"defaultVariant": "green"}})
    assert (refused.status_code, kind_of(refused)) == (400, "invalid-schedule")
    assert "Unknown variant 'green'" in refused.json()["detail"]


def test_a_plan_counts_who_gets_another_value(api: Api, cast: Cast) -> None:
    defined(api, rules=[])
    plans = {
        name: api.post(f"{BASE}/button-color/plan", parts).json()
        for name, parts in {
            "default": {"defaultVariant": "red"}, "value": {"variants": [{"key": "blue", "value": "#00a"}, RED]},
            "other value": {"variants": [BLUE, {"key": "red", "value": "#a00"}]}, "off": {"offVariant": "red"},
        }.items()
    }  # fmt: skip
    FlagSetting.objects.create(
        flag=Flag.objects.get(), organization=cast.oslo, number=7, kind="set", enabled=True, variant=2
    )
    with_a_variant = api.post(f"{BASE}/button-color/plan", {"variants": [BLUE, {"key": "red", "value": "#a00"}]}).json()
    assert with_a_variant["changed"] == cast.oslo.descendant_count + 1
    everybody = plans["default"]["organizations"]
    assert {name: found["changed"] for name, found in plans.items()} == {
        "default": everybody, "value": everybody, "other value": 0, "off": 0,
    }  # fmt: skip


def test_the_commands_take_types_and_variants() -> None:
    fields = ("type=integer", 'variants=[{"key": "few", "value": 10}, {"key": "many", "value": 99}]')
    document = run("define_flag", "limit", *fields, "--json").document
    assert (document["type"], document["defaultVariant"]) == ("integer", "few")
    assert run("change_flag", "limit", "defaultVariant=many", "--json").document["defaultVariant"] == "many"
    refused = run("change_flag", "limit", "offVariant=none").error
    assert "offVariant: Unknown variant 'none'. The variants are: few, many." in refused


def form(flag: Flag | None = None, **filled_in: Any) -> tuple[str, dict[str, Any]]:
    """The address and the content of the form of a definition, for a new flag or one that there is."""
    plain = {
        "key": "button-color",
        "rollout_unit": "targetingKey",
        "kind": "release",
        "environments": "{}",
        "enabled": "on",
    }
    if flag is None:
        return "/admin/flags/flag/add/", plain | {"type": "string"} | filled_in
    now = {"variants": json.dumps([BLUE, RED]), "default_variant": "blue", "based_on": flag.revision, "salt": flag.salt}
    return f"/admin/flags/flag/{flag.pk}/change/", plain | now | filled_in


def test_a_person_defines_and_changes_a_typed_flag_in_a_plain_form(api: Api) -> None:
    person = signed_in("operator")
    shown(person.get("/admin/flags/flag/add/"))
    assert person.post(*form(variants=json.dumps([BLUE, RED]))).status_code == 302
    flag = Flag.objects.get()
    assert (flag.type, flag.default_variant, flag.off_variant, flag.value_schema) == ("string", "blue", "", None)
    page = shown(person.get(f"/admin/flags/flag/{flag.pk}/change/?tab=definition"))
    assert "&quot;key&quot;: &quot;red&quot;" in page
    assert "&quot;number&quot;" not in page
    assert 'name="type"' not in page
    changed = person.post(*form(flag, off_variant="red", value_schema='{"maxLength": 4}', type="integer"))
    assert changed.status_code == 302, shown(changed)
    flag.refresh_from_db()
    assert (flag.type, flag.off_variant, flag.value_schema, flag.version) == ("string", "red", {"maxLength": 4}, 2)
    assert "#00f" in shown(person.get(f"/admin/flags/flag/{flag.pk}/change/"))


@pytest.mark.parametrize(
    ("filled_in", "words"),
    [
        ({"variants": "[{"}, "This is not JSON."), ({"variants": "[]"}, "needs variants"),
        ({"variants": '[{"key": "a", "value": 1}]'}, "is not of the type string"),
        ({"variants": '[{"key": "a", "value": "1", "number": 9}]'}, "is not an object with `key` and `value`"),
        ({"off_variant": "green"}, "Unknown variant 'green'."),
        ({"value_schema": '{"type": "colour"}'}, "Not a JSON Schema"),
        ({"value_schema": '{"maxLength": 2}'}, "does not fit the schema"),
        ({"targeting_rules": json.dumps([PROS | {"serve": {"variant": "pink"}}])}, "Rule 1: Unknown variant 'pink'."),
    ],
)  # fmt: skip
def test_the_form_says_what_is_wrong_and_writes_nothing(api: Api, filled_in: dict[str, str], words: str) -> None:
    person = signed_in("operator")
    assert words in unescape(shown(person.post(*form(**{"variants": json.dumps([BLUE, RED])} | filled_in))))
    assert not Flag.objects.exists()
    defined(api, rules=[], schema=None)
    assert words in unescape(shown(person.post(*form(Flag.objects.get(), **filled_in))))
    assert Flag.objects.get().version == 1


def test_who_may_not_change_a_flag_sees_its_variants_in_words(api: Api) -> None:
    defined(api)
    page = shown(
        signed_in("viewer", name="una").get(f"/admin/flags/flag/{Flag.objects.get().pk}/change/?tab=definition")
    )
    assert 'blue: "#00f", red: "#f00"' in unescape(page)
