"""Rules that read attributes of organizations, as clients and people meet them."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from conftest import Cast, _key
from flags.batch_evaluation.frozen_state import frozen
from flags.client import is_enabled
from flags.definitions import service
from flags.definitions.loader import load_definitions
from flags.definitions.models import Flag
from flags.evaluation.context_loader import load_context, organization_attributes_read
from flags.evaluation.engine import EvaluationContext, evaluate
from flags.moving.to_flagd import export
from flags.serving.cache_events import AttributeChanged, decode, encode
from flags.states.set_flag import set_flag
from flags.states.setting_rules import Below
from flags.targeting.checks import checked_rules
from flags.tests.serving.asking import Asking
from orgs.access.models import Role
from orgs.attributes import attribute_operations
from orgs.tests.api import Api
from orgs.tree import tree_operations
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db


def rule(*clauses: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {"id": "rule-1", "clauses": list(clauses), "serve": {"variant": "on"}, **values}


PROS = rule({"attribute": "org.plan", "op": "in", "values": ["pro"]})


@pytest.fixture
def flag(cast: Cast) -> Flag:
    return service.create(key="new-ui", values={"targeting_rules": [PROS]}, by="user:olga")


def give(organization: Organization, **values: Any) -> None:
    attribute_operations.change(organization_id=organization.pk, values=values)


def says(asking: Asking, organization: Organization, **context: Any) -> bool:
    """Ask a process that has just begun."""
    found = Asking(asking.key).one("new-ui", organizationId=organization.pk, targetingKey="ann", **context)
    return bool(found.body["value"])


def test_an_organization_inherits_attributes_and_the_nearest_counts(cast: Cast, flag: Flag, asking: Asking) -> None:
    give(cast.acme, plan="pro")
    assert (says(asking, cast.oslo), says(asking, cast.rome), says(asking, cast.rival)) == (True, True, False)
    give(cast.north, plan="free")
    assert (says(asking, cast.oslo), says(asking, cast.rome)) == (False, True)
    give(cast.oslo, plan="pro")
    assert says(asking, cast.oslo) is True


def test_null_ends_what_comes_from_above_and_a_removal_lets_it_through_again(
    cast: Cast, flag: Flag, asking: Asking
) -> None:
    give(cast.acme, plan="pro")
    give(cast.north, plan=None)
    assert (says(asking, cast.north), says(asking, cast.oslo), says(asking, cast.rome)) == (False, False, True)
    attribute_operations.change(organization_id=cast.north.pk, values={}, remove=["plan"])
    assert (says(asking, cast.north), says(asking, cast.oslo)) == (True, True)


def test_a_client_can_neither_give_nor_override_an_attribute_of_its_organization(
    cast: Cast, flag: Flag, asking: Asking
) -> None:
    context: dict[str, Any] = {"org": {"plan": "pro"}, "org.plan": "pro", "plan": "pro"}
    assert says(asking, cast.oslo, **context) is False
    assert asking.one("new-ui", targetingKey="ann", **context).body["value"] is False
    give(cast.oslo, plan="pro")
    assert says(asking, cast.oslo, **{"org": {"plan": "free"}, "org.plan": "free"}) is True


@pytest.mark.parametrize(
    ("value", "op", "values", "matches"),
    [
        (12, "gte", [10], True),
        (12, "in", ["12"], False),
        (True, "in", [True], True),
        (True, "in", [1], False),
        (["eu", "us"], "in", ["us"], True),
        (["eu", "us"], "in", ["asia"], False),
        ([], "exists", None, True),
        (None, "exists", None, False),
        ("2.4.1", "semverGte", ["2.4"], True),
        ("10.1.2.3", "inCidr", ["10.0.0.0/8"], True),
        ("2026-03-01T00:00:00Z", "before", ["2026-04-01T00:00:00Z"], True),
        ("enterprise-plus", "startsWith", ["enterprise"], True),
    ],
)
def test_every_operator_compares_it_without_a_conversion(
    cast: Cast, flag: Flag, asking: Asking, *, value: Any, op: str, values: list[Any] | None, matches: bool
) -> None:
    clause = {"attribute": "org.plan", "op": op, **({} if values is None else {"values": values})}
    service.update(key="new-ui", values={"targeting_rules": [rule(clause)]}, by="user:olga")
    give(cast.north, plan=value)
    assert says(asking, cast.oslo) is matches


def test_a_rollout_can_count_an_attribute_of_organizations(cast: Cast, flag: Flag, asking: Asking) -> None:
    serve = {"rollout": {"on": 50, "off": 50}, "by": "org.contract"}
    counted = rule({"attribute": "org.plan", "op": "in", "values": ["pro"]}, serve=serve)
    service.update(key="new-ui", values={"targeting_rules": [counted]}, by="user:olga")
    give(cast.acme, plan="pro")
    answers = set()
    for number in range(20):
        give(cast.acme, contract=f"c-{number}")
        found = says(asking, cast.oslo)
        assert found is says(asking, cast.rome), "one contract is one unit"
        answers.add(found)
    assert answers == {True, False}


def test_a_process_hears_of_a_change_above_and_of_no_attribute_that_no_rule_reads(
    cast: Cast, flag: Flag, asking: Asking
) -> None:
    def answer() -> tuple[bool, str]:
        found = asking.all(organizationId=cast.oslo.pk, targetingKey="ann")
        return found.body["flags"][0]["value"], found.headers["ETag"]

    off, tag = answer()
    give(cast.acme, plan="pro", seats=3)
    asking.cache.notify(AttributeChanged(cast.acme.pk, "seats"))
    assert answer() == (False, tag), "the snapshot is not read again for what no rule reads"
    asking.cache.notify(AttributeChanged(cast.rival.pk, "plan"))
    assert answer() == (off, tag)
    asking.cache.notify(AttributeChanged(cast.acme.pk, "plan"))
    on, other_tag = answer()
    assert (on, other_tag != tag) == (True, True)
    give(cast.acme, seats=4)
    asking.cache.notify(AttributeChanged(0, "plan"))
    assert answer() == (True, other_tag), "the tag depends on what rules read alone"


def test_a_rule_that_reads_another_attribute_finds_it_in_organizations_that_are_cached(
    cast: Cast, flag: Flag, asking: Asking
) -> None:
    give(cast.acme, plan="free", region="eu")
    assert asking.one("new-ui", organizationId=cast.oslo.pk, targetingKey="ann").body["value"] is False
    service.update(
        key="new-ui",
        values={"targeting_rules": [rule({"attribute": "org.region", "op": "in", "values": ["eu"]})]},
        by="user:olga",
    )
    asking.cache.reload_definitions()
    assert asking.one("new-ui", organizationId=cast.oslo.pk, targetingKey="ann").body["value"] is True


def test_a_moved_organization_has_the_attributes_of_its_new_place(cast: Cast, flag: Flag, asking: Asking) -> None:
    give(cast.south, plan="pro")
    assert says(asking, cast.oslo) is False
    tree_operations.move(organization_id=cast.north.pk, parent_id=cast.south.pk)
    assert says(asking, cast.oslo) is True


def test_organizations_without_attributes_share_nothing_new_and_those_with_the_same_share_one_copy(
    cast: Cast, flag: Flag, asking: Asking
) -> None:
    give(cast.acme, plan="pro", seats=3)
    asking.cache.definitions()
    oslo, rome, rival = (asking.cache.snapshot(one.pk) for one in (cast.oslo, cast.rome, cast.rival))
    assert dict(oslo.attributes) == {"plan": "pro"}
    assert oslo.attributes is rome.attributes
    assert rival.attributes is asking.cache.snapshot(cast.rival.pk).attributes
    assert not rival.attributes


def test_explain_shows_what_the_attribute_was_and_from_which_organization(cast: Cast, flag: Flag) -> None:
    give(cast.acme, plan="pro")
    api = Api(_key("reader", Role.READER))
    found = api.get(f"/v1/feature-flags/new-ui/explain?organizationId={cast.oslo.pk}&userId=ann").json()
    (clause,) = found["rules"][0]["clauses"]
    assert (found["enabled"], clause["compared"], clause["sourceOrganizationKey"]) == (True, "pro", "acme")
    assert clause["why"] == 'The attribute \'org.plan\' (from acme) is "pro": in ["pro"] matches.'


def test_reads_without_a_user_know_the_attributes(cast: Cast, flag: Flag) -> None:
    give(cast.acme, plan="pro")
    api = Api(_key("reader", Role.READER))
    read = api.get(f"/{cast.oslo.pk}/new-ui").json()["featureFlag"]
    assert (read["enabled"], read["rule"]) == (True, "targeting")
    assert api.get(f"/{cast.rival.pk}/new-ui").json()["featureFlag"]["rule"] == "default"


def test_django_code_asks_with_the_attributes_of_the_organization(cast: Cast, flag: Flag) -> None:
    give(cast.acme, plan="pro")
    assert is_enabled("new-ui", user_id="ann", organization=cast.oslo.pk)
    assert not is_enabled("new-ui", user_id="ann", organization=cast.rival.pk)


def test_a_lock_counts_before_them(cast: Cast, flag: Flag, asking: Asking) -> None:
    give(cast.acme, plan="pro")
    set_flag(organization_id=cast.oslo.pk, flag_key="new-ui", enabled=False, below=Below.LOCK)
    assert says(asking, cast.oslo) is False


@pytest.mark.parametrize("name", ["org.", "org.a.b", "org.1", "org.a b", f"org.{'a' * 65}"])
def test_a_rule_names_only_attributes_that_an_organization_can_have(name: str) -> None:
    with pytest.raises(ValidationError, match="no attribute of organizations"):
        checked_rules([rule({"attribute": name, "op": "exists"})])
    by = {"rollout": {"on": 50, "off": 50}, "by": name}
    with pytest.raises(ValidationError, match="no attribute of organizations"):
        checked_rules([rule({"attribute": "plan", "op": "exists"}, serve=by)])


def test_the_notification_says_which_attribute_of_which_organization_has_changed() -> None:
    event = AttributeChanged(7, "plan")
    assert decode(encode(event)) == event
    any_ = AttributeChanged(0, "plan")
    assert (event.concerns((1, 7)), event.concerns((1, 8)), any_.concerns((1,)), any_.concerns(())) == (
        True, False, True, False,
    )  # fmt: skip


def test_a_batch_evaluation_knows_the_attributes_of_each_organization(cast: Cast, flag: Flag) -> None:
    give(cast.acme, plan="pro", unread="x")
    give(cast.oslo, plan=None)
    give(cast.rome, plan="free")
    context = EvaluationContext()
    for below in (None, cast.north.pk, cast.oslo.pk):
        with frozen(["new-ui"], below) as state:
            rules = state.definitions.compiled_flags
            found = {
                one.keys[-1]: rules(one.states, "")["new-ui"].decide(one, "", b"").enabled
                for one in state.organizations()
            }
        definitions = load_definitions()
        names = organization_attributes_read(definitions.values())
        for key, enabled in found.items():
            place = load_context(Organization.objects.get(key=key).pk, names)
            assert enabled is evaluate(definitions["new-ui"], place, context, definitions).enabled
        assert found["oslo"] is False
        assert found.get("bergen", True) is True


def test_the_export_for_flagd_decides_by_the_attributes_of_the_organization(cast: Cast, flag: Flag) -> None:
    give(cast.acme, plan="pro")
    exported = {key: export(one.pk).document["flags"]["new-ui"] for key, one in (("a", cast.oslo), ("r", cast.rival))}
    assert (exported["a"]["defaultVariant"], exported["r"]["defaultVariant"]) == ("on", "off")
    assert "targeting" not in exported["a"]
