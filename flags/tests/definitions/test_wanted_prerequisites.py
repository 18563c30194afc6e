"""A flag may want its prerequisites to be off, or to serve a variant."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from conftest import Cast, _key
from flags.definitions import service
from flags.definitions.models import Flag
from flags.evaluation.wants import checked_entries, entries_from_lines, lines_of, stored_wants
from flags.history.moments import present_moment
from flags.history.past_definitions import past_definition
from flags.tests.serving.asking import Asking
from flags.undoing.undo import find
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
BASE = "/v1/feature-flags"
OFF = {"flag": "old", "is": "off"}
RED = {"flag": "colour", "variant": "red"}


@pytest.fixture
def api(cast: Cast) -> Api:
    Flag.objects.create(key="old", enabled=True)
    Flag.objects.create(key="needed", enabled=True)
    Flag.objects.create(
        key="colour", type="string", enabled=True, default_variant="blue", off_variant="red", variants_made=2,
        variants=[{"key": "blue", "value": "#00f", "number": 1}, {"key": "red", "value": "#f00", "number": 2}],
    )  # fmt: skip
    return Api(_key("editor", Role.EDITOR))


def value_of(asking: Asking, flag: str = "new", **context: Any) -> tuple[Any, str]:
    body = asking.one(flag, targetingKey="ann", **context).body
    assert next(each for each in asking.all(targetingKey="ann", **context).body["flags"] if each["key"] == flag) == body
    return body["value"], body["metadata"]["rule"]


def test_a_flag_that_wants_another_to_be_off_is_on_where_the_other_is_off(api: Api, asking: Asking) -> None:
    made = api.post(BASE, {"name": "new", "enabled": True, "prerequisites": [OFF, "needed"]})
    assert made.status_code == 201, made.content
    assert made.json()["prerequisites"] == ["needed", OFF]
    assert value_of(asking) == (False, "prerequisite")
    assert value_of(asking, "old")[0] is True
    service.update(key="old", values={"environments": {"staging": False}}, by="olga")
    asking = Asking(asking.key)
    assert value_of(asking, environment="staging") == (True, "default")
    step = api.get(f"{BASE}/new/explain?userId=ann").json()["steps"][-1]
    assert step["detail"] == "The prerequisite 'old' is on, by the rule default."
    service.update(key="old", values={"killed": True}, by="olga")
    assert value_of(Asking(asking.key)) == (True, "default")


def test_a_flag_that_wants_a_variant_of_another_is_on_where_this_variant_is_served(api: Api, asking: Asking) -> None:
    assert api.post(BASE, {"name": "new", "enabled": True, "prerequisites": [RED]}).status_code == 201
    assert value_of(asking) == (False, "prerequisite")
    step = api.get(f"{BASE}/new/explain?userId=ann").json()["steps"][-1]
    assert step["detail"] == "The prerequisite 'colour' serves the variant 'blue', by the rule default."
    service.update(key="colour", values={"enabled": False}, by="olga")
    assert value_of(Asking(asking.key)) == (True, "default")


def test_a_variant_that_another_flag_wants_is_not_removed(api: Api) -> None:
    api.post(BASE, {"name": "new", "prerequisites": [RED]})
    refused = api.patch(f"{BASE}/colour", {"variants": [{"key": "blue", "value": "#00f"}], "offVariant": None})
    assert (kind_of(refused), refused.json()["places"]) == (
        "variant-in-use", [{"place": "prerequisite", "variant": "red", "neededBy": "new"}],
    )  # fmt: skip


def test_a_read_says_what_evaluations_say(api: Api, cast: Cast) -> None:
    api.post(BASE, {"name": "new", "enabled": True, "prerequisites": [OFF]})
    read = api.get(f"/{cast.acme.pk}/new").json()["featureFlag"]
    assert (read["enabled"], read["rule"]) == (False, "prerequisite")
    service.update(key="old", values={"archived": True}, by="olga")
    assert api.get(f"/{cast.acme.pk}/new").json()["featureFlag"]["enabled"] is True


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (["b", "a", "b"], ["a", "b"]),
        ([{"flag": "a"}, {"flag": "b", "is": "on"}], ["a", "b"]),
        (["b", {"flag": "a", "is": "off"}], [{"flag": "a", "is": "off"}, "b"]),
        ([{"flag": "a", "variant": "v"}], [{"flag": "a", "variant": "v"}]),
    ],
)
def test_prerequisites_have_one_form(sent: list[Any], kept: list[Any]) -> None:
    assert checked_entries(sent) == kept == checked_entries(kept)
    assert entries_from_lines(["a", "b"], lines_of(stored_wants(kept))) == [
        *kept, *([] if len(kept) > 1 else ["b"]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "entries",
    [
        ["old", OFF], [{"flag": "old", "is": "maybe"}], [{"flag": "old", "is": "off", "variant": "on"}],
        [{"is": "off"}], [{"flag": ""}], [{"flag": "old", "more": 1}], [{"flag": "old", "variant": ""}],
        [{"flag": "old", "variant": 1}], [None], {}, [{"flag": "colour", "variant": "green"}],
        [{"flag": "old", "variant": "red"}], [f"f{number}" for number in range(101)],
    ],
)  # fmt: skip
def test_nonsense_is_refused(api: Api, entries: Any) -> None:
    refused = api.post(BASE, {"name": "new", "prerequisites": entries})
    assert (refused.status_code, Flag.objects.filter(key="new").exists()) == (400, False), refused.content


def test_a_circle_is_refused_also_if_it_wants_a_flag_to_be_off(api: Api) -> None:
    api.post(BASE, {"name": "new", "prerequisites": [OFF]})
    assert kind_of(api.patch(f"{BASE}/old", {"prerequisites": [{"flag": "new", "is": "off"}]})) == "prerequisite-cycle"


def test_a_want_is_a_change_that_history_keeps_and_an_undo_takes_back(api: Api) -> None:
    api.post(BASE, {"name": "new", "prerequisites": [OFF]})
    before = present_moment()
    api.patch(f"{BASE}/new", {"prerequisites": ["old"]})
    entry = AuditEntry.objects.latest("id")
    assert (entry.details["before"], entry.details["after"]) == ({"prerequisites": [OFF]}, {"prerequisites": ["old"]})
    assert api.patch(f"{BASE}/new", {"prerequisites": [{"flag": "old"}]}).json()["version"] == 2
    assert past_definition(before, "new")["new"].definition.wants["old"].is_off
    find(Caller("command:ops@host", Role.ADMIN), entry.details["changeNumber"]).undo(reason="wrong")
    assert api.get(f"{BASE}/new").json()["prerequisites"] == [OFF]


def test_the_page_writes_what_prerequisites_must_be_in_lines(api: Api, cast: Cast) -> None:
    flag = service.create(key="new", values={"prerequisites": [OFF]}, by="olga")
    operator = signed_in("operator")
    page = f"/admin/flags/flag/{flag.pk}/change/?tab=definition"
    assert "old: off" in shown(operator.get(page))
    assert _posted(operator, page, flag, "old: off\ncolour: variant red", ["old", "colour"]).status_code == 302
    assert api.get(f"{BASE}/new").json()["prerequisites"] == [RED, OFF]
    flag.refresh_from_db()
    answer = _posted(operator, page, flag, "colour: variant red", ["old"])
    assert "is not one of the prerequisites" in shown(answer)


def _posted(operator: Client, page: str, flag: Flag, lines: str, keys: list[str]) -> Any:
    return operator.post(
        page,
        {
            "rollout_unit": "targetingKey", "kind": "release", "environments": "{}", "targeting_rules": "[]",
            "prerequisite_wants": lines, "prerequisites": [each.pk for each in Flag.objects.filter(key__in=keys)],
            "reason": "pilot", "based_on": flag.revision,
        },
    )  # fmt: skip
