"""Settings give variants and custom values, and every organization below gets them, through every door."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import Cast
from flags.definitions.models import Flag
from flags.errors import FlagLocked
from flags.evaluation.context_loader import load_context, load_organization
from flags.evaluation.engine import StateValue
from flags.history.moments import find_moment, present_moment
from flags.history.past_settings import past_path
from flags.history.past_states import organization_context
from flags.models import Change, CustomValue, FlagSetting, FlagState
from flags.schedules.due import DueResult, apply_due
from flags.schedules.models import FlagSchedule
from flags.serving.packed_states import InternedStates, variant_of
from flags.states.choices import Choice
from flags.states.expected_states import differences
from flags.states.placed_settings import decided_on_paths
from flags.states.set_flag import reset_flag, set_flag
from flags.states.setting_rules import Below
from flags.tests.schedules.plans import let_come
from flags.tests.states.colors import COLORS, address, carry_out, color_flag, put, rows
from flags.values.types import FlagType
from jobs.engine import runner
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.audit.sentences import Places, sentence, text_of
from orgs.tests.api import Api
from orgs.tests.commands import run
from orgs.tree import tree_operations

pytestmark = pytest.mark.django_db


KEYS = ["acme", "north", "oslo", "bergen", "south", "rome"]
CHOICES = [
    Choice(enabled=True), Choice(enabled=False), Choice(variant="red"), Choice(variant="blue"), Choice(value="#0f0"),
    Choice(value="#111"), None,
]  # fmt: skip
HOW = [*Below, None]
"""What happens to the settings below; None stands for a value that counts here only."""


@pytest.fixture
def flag() -> Flag:
    return color_flag()


@pytest.fixture
def api(admin_key: str) -> Api:
    return Api(admin_key)


def test_a_variant_reaches_the_subtree_and_a_custom_value_only_those_who_have_it(
    api: Api, cast: Cast, flag: Flag
) -> None:
    leaf = put(api, cast.oslo, value="#0f0", reason="their own green").json()
    assert (leaf["variant"], leaf["value"], leaf["enabled"], leaf["processedImmediately"]) == (
        "custom", "#0f0", True, True,
    )  # fmt: skip
    parent = put(api, cast.north, variant="red").json()
    assert (parent["variant"], parent["value"], parent["setting"]["variant"]) == ("red", "#f00", "red")
    assert rows() == {"north": "red", "bergen": "red", "oslo": ["#0f0"]}
    assert put(api, cast.acme, enabled=False, below="overwrite").json()["variant"] is None
    assert set(rows().values()) == {"off"}
    assert put(api, cast.acme, enabled=True).json()["variant"] == "blue"
    assert set(rows().values()) == {"on"}
    assert differences([each.pk for each in cast.of_acme], [flag.pk]) == []


def test_a_lock_a_plan_and_a_reset_know_variants(api: Api, cast: Cast, flag: Flag) -> None:
    put(api, cast.oslo, variant="red")
    plan = api.post(f"{address(cast.acme)}/plan", {"variant": "red", "below": "lock"}).json()
    assert (plan["changed"], plan["masked"]) == (5, 1)
    sample = plan["samples"][0]
    assert (sample["before"], sample["beforeVariant"], sample["after"], sample["afterVariant"]) == (
        None, None, True, "red",
    )  # fmt: skip
    locked = put(api, cast.acme, variant="red", below="lock", atMost=5, planHash=plan["planHash"])
    assert locked.status_code == 202, locked.json()
    assert put(api, cast.oslo, variant="blue").status_code == 409
    assert api.post(f"{address(cast.acme)}/plan", {"variant": "red"}).json()["changed"] == 0
    assert api.post(f"{address(cast.acme)}/plan", {"value": "#123"}).json()["changed"] == 5
    assert CustomValue.objects.count() == 0  # a plan writes nothing
    api.delete(address(cast.acme))
    carry_out()
    assert rows() == {"oslo": "red"}


def test_the_samples_of_a_plan_show_custom_values_shortened(api: Api, cast: Cast, flag: Flag) -> None:
    put(api, cast.acme, value="#0f0")
    planned = api.post(f"{address(cast.acme)}/plan", {"value": "#123"}).json()["samples"][0]
    assert (planned["beforeVariant"], planned["beforeValue"]) == ("custom", '"#0f0"')
    assert (planned["afterVariant"], planned["afterValue"]) == ("custom", '"#123"')
    to_variant = api.post(f"{address(cast.acme)}/plan", {"variant": "red"}).json()["samples"][0]
    assert (to_variant["beforeValue"], to_variant["afterValue"]) == ('"#0f0"', '"#f00"')
    Flag.objects.update(value_schema=None)
    long = api.post(f"{address(cast.acme)}/plan", {"value": "x" * 5000}).json()["samples"][0]
    assert long["afterValue"].startswith('"xxx')
    assert long["afterValue"].endswith("x…")
    assert len(long["afterValue"]) < 200


def test_the_same_custom_value_is_stored_once_and_another_one_never_replaces_it(
    api: Api, cast: Cast, flag: Flag
) -> None:
    for place, value in [(cast.oslo, "#0f0"), (cast.bergen, "#0f0"), (cast.oslo, "#111")]:
        put(api, place, value=value)
    assert sorted(CustomValue.objects.values_list("value", flat=True)) == ["#0f0", "#111"]
    assert min(CustomValue.objects.values_list("pk", flat=True)) > 1000
    assert rows() == {"oslo": ["#111"], "bergen": ["#0f0"]}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"variant": "green"}, "Unknown variant 'green'. The variants are: blue, red."),
        ({"value": 7}, "not of the type string"),
        ({"value": None}, "not of the type string"),
        ({"value": "#00000000"}, "does not fit the schema"),
        ({"value": "x" * 20_000}, "16,384 bytes"),
        ({"variant": "red", "enabled": True}, "exactly one of enabled, variant and value"),
        ({}, "exactly one of enabled, variant and value"),
    ],
)
def test_what_the_flag_cannot_be_is_refused_and_changes_nothing(
    api: Api, cast: Cast, body: dict[str, Any], words: str
) -> None:
    color_flag()
    for method, path in [("put", address(cast.oslo)), ("post", f"{address(cast.oslo)}/plan")]:
        answer = getattr(api, method)(path, body)
        assert answer.status_code == 400, answer.json()
        assert words in str(answer.json())
    assert not FlagSetting.objects.exists()
    assert not Change.objects.exists()


def test_a_boolean_flag_takes_its_two_variants_and_no_other_value(api: Api, cast: Cast) -> None:
    Flag.objects.create(key="checkout")
    place = f"/v1/organizations/{cast.oslo.key}/flags/checkout"
    assert api.put(place, {"variant": "on"}).json()["value"] is True
    assert api.put(place, {"variant": "off"}).json()["value"] is False
    assert api.put(place, {"value": "on"}).status_code == 400
    assert set(FlagState.objects.values_list("variant", flat=True)) == {0}


def test_an_undo_and_a_move_carry_variants(api: Api, cast: Cast, flag: Flag) -> None:
    put(api, cast.oslo, value="#0f0")
    put(api, cast.bergen, variant="blue")
    number = put(api, cast.north, variant="red", below="overwrite").json()["changeNumber"]
    assert rows() == {"north": "red", "oslo": "red", "bergen": "red"}
    assert api.post(f"/v1/changes/{number}/undo", {}).status_code in {200, 202}
    carry_out()
    assert rows() == {"oslo": ["#0f0"], "bergen": "blue"}
    put(api, cast.south, variant="red")
    tree_operations.move(organization_id=cast.bergen.pk, parent_id=cast.south.pk)
    reset_flag(organization_id=cast.bergen.pk, flag_key="color")
    assert rows() == {"oslo": ["#0f0"], "bergen": "red", "south": "red", "rome": "red"}
    assert differences([each.pk for each in cast.of_acme], [flag.pk]) == []


def test_the_past_tells_the_variant_of_then(api: Api, cast: Cast, flag: Flag) -> None:
    first = put(api, cast.oslo, variant="red").json()["changeNumber"]
    put(api, cast.oslo, value="#0f0")
    caller = Caller("user:olga", Role.ADMIN)
    moment = find_moment(caller, str(first))
    context = organization_context(past_path(caller, cast.oslo.pk, moment), [])
    assert (context.states[flag.pk].variant, context.states[flag.pk].custom) == (2, None)
    path = past_path(caller, cast.oslo.pk, present_moment())
    assert organization_context(path, []).states[flag.pk].custom == "#0f0"


def test_explain_names_the_variants_on_the_path(api: Api, cast: Cast, flag: Flag) -> None:
    put(api, cast.oslo, value="#0f0")
    put(api, cast.acme, variant="red")
    question = f"/v1/feature-flags/color/explain?organizationId={cast.oslo.pk}"
    answer = api.get(question).json()
    acme, _, oslo = answer["organizations"]
    assert (answer["variant"], answer["value"]) == ("custom", "#0f0")
    assert (acme["variant"], acme["setting"]["variant"], acme["latestChange"]["variant"]) == ("red", "red", "red")
    assert (oslo["variant"], oslo["setting"]["variant"], oslo["decides"]) == ("custom", "custom", True)
    assert acme["why"].startswith("Its value is the variant 'red'.")
    assert acme["why"].endswith("is nearer: a custom value.")
    past = api.get(f"{question}&at={oslo['changeNumber']}").json()
    assert (past["variant"], past["organizations"][-1]["variant"]) == ("custom", "custom")


def test_a_flag_with_variants_tells_its_value_in_the_list_of_an_organization(api: Api, cast: Cast, flag: Flag) -> None:
    put(api, cast.oslo, value="#0f0")
    set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True)
    page = api.get(f"/organizations/{cast.oslo.pk}/flags").json()["results"]
    listed = {each["featureFlag"]["name"]: each["featureFlag"] for each in page}
    assert (listed["color"]["variant"], listed["color"]["value"]) == ("custom", "#0f0")
    assert "variant" not in listed["checkout"]


def test_an_organization_that_is_created_gets_the_variant_of_its_parent(api: Api, cast: Cast, flag: Flag) -> None:
    put(api, cast.north, value="#0f0")
    tree_operations.create(key="vik", name="Vik", parent_id=cast.north.pk)
    assert rows()["vik"] == ["#0f0"]


def test_a_schedule_sets_a_variant_and_a_custom_value(api: Api, cast: Cast, flag: Flag) -> None:
    at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    for wanted in ({"variant": "red"}, {"value": "#0f0", "below": "keep"}):
        body = {"featureFlagName": "color", "organizationId": cast.oslo.pk, "apply": wanted, "scheduledAt": at}
        answer = api.post("/v1/schedules", body)
        assert answer.status_code == 201, answer.json()
        plan = api.post(f"/v1/schedules/{FlagSchedule.objects.latest('pk').pk}/plan")
        assert plan.json()["setting"]["changed"] == 1, plan.json()
        let_come(FlagSchedule.objects.latest("pk").pk)
        assert apply_due() == DueResult(applied=1)
        assert rows()["oslo"] == ("red" if "variant" in wanted else ["#0f0"])
        set_flag(organization_id=cast.oslo.pk, flag_key="color", enabled=False)


def test_the_command_sets_a_variant_and_a_custom_value(cast: Cast, flag: Flag) -> None:
    document = run("set_flag", "oslo", "color", "--variant", "red", "--json").document
    assert (document["variant"], document["value"]) == ("red", "#f00")
    document = run("set_flag", "oslo", "color", "--value", '"#0f0"', "--json").document
    assert (document["variant"], document["value"]) == ("custom", "#0f0")
    assert "exactly one of on, off" in run("set_flag", "oslo", "color", "on", "--variant", "red").error
    assert "not JSON" in run("set_flag", "oslo", "color", "--value", "#0f0").error
    assert rows() == {"oslo": ["#0f0"]}


def test_the_audit_log_names_the_variant(api: Api, cast: Cast, flag: Flag) -> None:
    put(api, cast.oslo, variant="red")
    put(api, cast.north, value="#0f0", below="lock")
    said = [
        text_of(sentence(entry, Places({cast.oslo.pk: ["Oslo"], cast.north.pk: ["North"]})))
        for entry in AuditEntry.objects.filter(action__in=["flag.set", "flag.lock"]).order_by("pk")
    ]
    assert [words.split(" ", 3)[-1] for words in said] == [
        "set color to red for Oslo", 'locked color to "#0f0" for North and everything below it',
    ]  # fmt: skip


def test_a_custom_value_comes_with_the_organization_and_not_with_the_rows_of_others(
    api: Api, cast: Cast, flag: Flag
) -> None:
    put(api, cast.oslo, value="#0f0")
    put(api, cast.bergen, variant="red")
    _, _, columns, custom = load_organization(cast.oslo.pk)
    assert list(custom.values()) == ["#0f0"]
    assert load_context(cast.oslo.pk).states[flag.pk].custom == "#0f0"
    states = InternedStates().of(columns, custom)
    row = states.row(flag.pk)
    assert row is not None
    assert states.custom[variant_of(row)] == "#0f0"
    assert load_organization(cast.bergen.pk)[3] == {}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deeds=st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(CHOICES), st.sampled_from(HOW)), max_size=10))
def test_the_rows_are_what_the_settings_decide_whatever_was_set_in_which_order(
    cast: Cast, deeds: list[tuple[str, Choice | None, Below | None]]
) -> None:
    Flag.objects.filter(key="color").delete()
    FlagState.objects.all().delete()
    FlagSetting.objects.all().delete()
    flag = color_flag()
    for key, choice, below in deeds:
        where = {"organization_id": getattr(cast, key).pk, "flag_key": "color"}
        with suppress(FlagLocked):
            if choice is None:
                reset_flag(**where)
            else:
                set_flag(**where, choice=choice, below=below or Below.KEEP, only_here=below is None)
    carry_out()
    ids = [each.pk for each in cast.of_acme]
    stored = {state.organization_id: state for state in FlagState.objects.filter(flag=flag)}
    for (organization_id, _), value in decided_on_paths(ids, [flag.pk]).items():
        state = stored[organization_id]
        assert (state.enabled, state.variant, state.locked) == (value.enabled, value.variant, value.locked)
    assert differences(ids, [flag.pk]) == []


def test_custom_values_of_a_purged_flag_go_with_it(api: Api, cast: Cast, flag: Flag) -> None:
    put(api, cast.oslo, value="#0f0")
    run("archive_flag", "color")
    assert run("purge_flag", "color").status == 0
    runner.run_next("default")
    assert not CustomValue.objects.exists()


def test_a_custom_value_of_each_type_is_what_was_written(api: Api, cast: Cast) -> None:
    values = {
        FlagType.INTEGER: 2**53 - 1, FlagType.FLOAT: 1e22, FlagType.OBJECT: {"b": [1, 1.5, None], "a": {"ü": True}},
    }  # fmt: skip
    for flag_type, value in values.items():
        variants = [{"key": "one", "value": value, "number": 1}]
        Flag.objects.create(key=flag_type, type=flag_type, variants=variants, variants_made=1, default_variant="one")
        place = f"/v1/organizations/{cast.oslo.key}/flags/{flag_type}"
        answer = api.put(place, {"value": value})
        assert json.loads(answer.content)["value"] == value
        assert api.get(place).json()["value"] == value
        assert CustomValue.objects.get(flag__key=flag_type).value == value


@pytest.mark.parametrize("number", [1e20, -1e20])
def test_a_great_number_in_a_custom_value_keeps_evaluations_of_the_organization_going(
    api: Api, cast: Cast, number: float
) -> None:
    variants = [{"key": "one", "value": {}, "number": 1}]
    great = Flag.objects.create(key="color", type=FlagType.OBJECT, variants=variants, default_variant="one")
    answer = put(api, cast.oslo, value={"limit": number})
    assert answer.json()["value"] == {"limit": number}
    _, _, columns, custom = load_organization(cast.oslo.pk)
    states = InternedStates().of(columns, custom)
    assert states.size > 0
    assert [row.custom for row in states.rows] == [{"limit": number}]
    assert isinstance(load_context(cast.oslo.pk).states[great.pk].custom["limit"], float)


def test_an_undo_does_not_bring_back_what_the_flag_no_longer_has(api: Api, cast: Cast, flag: Flag) -> None:
    put(api, cast.oslo, variant="red")
    put(api, cast.bergen, value="#0f0f0f")
    ended = [api.delete(address(place)).json()["changeNumber"] for place in (cast.oslo, cast.bergen)]
    Flag.objects.filter(pk=flag.pk).update(variants=COLORS[:1], value_schema={"maxLength": 4})
    for number, words in zip(ended, ["no longer has a variant", "does not fit the schema"], strict=True):
        for path in (f"/v1/changes/{number}/undo/plan", f"/v1/changes/{number}/undo"):
            answer = api.post(path, {})
            assert answer.status_code == 409, answer.json()
            assert words in answer.json()["detail"]
    assert not FlagSetting.objects.filter(kind="set").exists()


@pytest.mark.parametrize("wanted", [{"variant": "green"}, {"value": 7}])
def test_a_schedule_of_what_the_flag_cannot_be_is_refused_at_once(
    api: Api, cast: Cast, flag: Flag, wanted: dict[str, Any]
) -> None:
    at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    body = {"featureFlagName": "color", "organizationId": cast.oslo.pk, "apply": wanted, "scheduledAt": at}
    assert api.post("/v1/schedules", body).json()["type"] == "/problems/invalid-schedule"


def test_the_same_states_have_one_fingerprint_however_a_process_came_to_them(cast: Cast) -> None:
    interned = InternedStates()
    fresh = interned.of(((1, 2), (1, 1 | 1 << 2), (5, 5), (9, 9)))
    wide = interned.of(((1, 2), (1 | 1001 << 2, 1 | 1 << 2), (5, 5), (8, 9)), {1001: "x"})
    caught_up = interned.with_value(wide, StateValue(1, enabled=True, source_id=5, number=9))
    assert caught_up.fingerprint == fresh.fingerprint
    assert not caught_up.custom
    assert interned.selected(wide, frozenset({2})).fingerprint == interned.selected(fresh, frozenset({2})).fingerprint
    widened = interned.with_value(fresh, StateValue(2, enabled=True, source_id=5, number=10, variant=200))
    assert [row.variant for row in widened.rows] == [0, 200]
