"""Adoption, the tree of a flag, the list, statistics, reports and the command count organizations by variant."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import pytest

from conftest import Cast
from flags.definitions import service
from flags.definitions.models import Flag
from flags.insights import flag_tree
from flags.insights.adoption_counts import count_adoption
from flags.insights.share_bars import share_bar, share_words, variant_words
from flags.insights.variant_shares import variant_shares
from flags.states.choices import Choice
from flags.states.models import FlagState
from flags.states.set_flag import set_flag
from flags.states.setting_rules import Below
from flags.states.shown_values import shown as shown_value
from flags.statistics import figures as statistics
from flags.tests.reports.periods import figures as report_figures
from flags.tests.reports.periods import last_days, rows_of
from flags.tests.typed_flags import define_typed
from jobs.engine import runner
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.tests.api import Api
from orgs.tests.commands import run
from orgs.tests.people import shown, signed_in
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db
ADOPTION = "/v1/feature-flags/color/adoption"
COLORS = {"blue": "#00f", "red": "#f00", "green": "#0f0"}
CHOICES = [Choice(enabled=True), Choice(enabled=False), Choice(variant="red"), Choice(value="#111"), Choice(value="#2")]


def put(organization: Organization, choice: Choice, below: Below = Below.KEEP) -> None:
    set_flag(organization_id=organization.pk, flag_key="color", choice=choice, below=below)
    while runner.run_next("propagation"):
        pass


@pytest.fixture
def flag(cast: Cast) -> Flag:
    """Red for acme, a custom value for oslo and another one for bergen, off for rome; rival has the default."""
    flag = define_typed("color", "string", COLORS)
    put(cast.acme, Choice(variant="red"))
    put(cast.oslo, Choice(value="#111"))
    put(cast.bergen, Choice(value="#222"))
    put(cast.rome, Choice(enabled=False))
    return flag


@pytest.fixture
def api(cast: Cast, reader_key: str) -> Api:
    return Api(reader_key)


def told(variants: Iterable[Any]) -> dict[str | None, int]:
    """Those that somebody has."""
    return {one["variant"]: one["organizations"] for one in variants if one["organizations"]}


def by_hand(flag: Flag, organizations: Iterable[Organization]) -> dict[str | None, int]:
    """What each organization has by its own flag state, counted one by one."""
    counts: Counter[str | None] = Counter()
    for organization in organizations:
        state = FlagState.objects.filter(flag=flag, organization=organization).first()
        enabled = flag.enabled if state is None or state.enabled is None else state.enabled
        counts[shown_value(flag, enabled, state.variant if state else 0).variant] += 1
    return dict(counts)


@pytest.mark.parametrize("off_variant", ["", "green"])
@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_every_way_to_count_says_what_one_counts_by_hand(
    api: Api, cast: Cast, seed: int, enabled: bool, off_variant: str
) -> None:
    flag = define_typed("color", "string", COLORS, enabled=enabled, off_variant=off_variant)
    everybody = [*cast.of_acme, cast.rival, cast.rival_store]
    choose = random.Random(seed)
    for _ in range(6):
        put(choose.choice(everybody), choose.choice(CHOICES), choose.choice([Below.KEEP, Below.OVERWRITE]))
    at_once = api.get(ADOPTION).json()
    count_adoption()
    hourly = api.get(ADOPTION).json()
    assert told(at_once["variants"]) == told(hourly["variants"]) == by_hand(flag, everybody)
    for answer in (hourly, api.get(ADOPTION, organizationId=cast.acme.pk).json()):
        for one in answer["below"]:
            below = Organization.objects.get(pk=one["organizationId"]).get_descendants(include_self=True)
            assert told(one["variants"]) == by_hand(flag, below)


def test_the_answer_lists_every_variant_of_the_definition_in_its_order(api: Api, cast: Cast, flag: Flag) -> None:
    answer = api.get(ADOPTION, organizationId=cast.acme.pk).json()
    assert [(one["variant"], one["organizations"]) for one in answer["variants"]] == [
        ("blue", 0), ("red", 3), ("green", 0), ("custom", 2), (None, 1),
    ]  # fmt: skip
    assert answer["holdOuts"] == (
        "on for 83.3 %, off for 1 under 1 parent (Rome); red for 3, a custom value for 2, no value for 1"
    )
    assert (answer["organizationsOn"], answer["organizationsOff"]) == (5, 1)


def test_a_boolean_flag_has_no_variants_beside_on_and_off(api: Api, cast: Cast) -> None:
    set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True)
    answer = api.get("/v1/feature-flags/checkout/adoption").json()
    assert (answer["variants"], answer["below"][0]["variants"]) == ([], [])
    assert answer["holdOuts"] == "off for 87.5 %, on for 1 under 1 parent (Oslo)"


def test_who_has_a_variant_that_was_removed_counts_for_the_default_variant(api: Api, cast: Cast, flag: Flag) -> None:
    FlagState.objects.filter(variant=2).update(variant=77)
    count_adoption()
    assert told(api.get(ADOPTION).json()["variants"]) == {"blue": 5, "custom": 2, None: 1}


@pytest.mark.parametrize(("off_variant", "expected"), [("", None), ("green", "green")])
def test_a_flag_that_is_off_for_everybody_has_the_value_that_evaluations_serve(
    api: Api, cast: Cast, flag: Flag, off_variant: str, expected: str | None
) -> None:
    service.update(key="color", values={"off_variant": off_variant}, by="user:olga")
    service.create(key="needed", values={"killed": True, "enabled": True}, by="user:olga")
    service.update(key="color", values={"prerequisites": ["needed"]}, by="user:olga")
    for answer in (api.get(ADOPTION).json(), api.get(ADOPTION, organizationId=cast.acme.pk).json()):
        every = answer["organizationsStoredOn"] + answer["organizationsStoredOff"]
        assert told(answer["variants"]) == {expected: every}
        assert set(told(answer["below"][0]["variants"])) == {expected}
    service.update(key="color", values={"killed": True}, by="user:olga")
    count_adoption()
    assert told(api.get(ADOPTION).json()["variants"]) == {None: 8}
    totals = flag_tree.last_totals(Flag.objects.get(key="color"))
    assert totals
    assert (totals.on, totals.off, share_words(totals)) == (0, 8, "no value for all 8")


def test_the_tree_and_the_list_tell_variants_with_a_bar(cast: Cast, flag: Flag) -> None:
    count_adoption()
    words = "red for 3, blue for 2, a custom value for 2, no value for 1"
    admin = signed_in("admin")
    assert words in shown(admin.get(f"/admin/flags/flag/{flag.pk}/change/"))
    page = shown(admin.get("/admin/flags/flag/"))
    assert words in page
    assert page.count('class="fs-share-custom"') == 1
    bound = signed_in("viewer", bound_to=cast.north, name="ola")
    for address in ("/admin/flags/flag/", f"/admin/flags/flag/{flag.pk}/change/"):
        assert "a custom value for 2, red for 1" in shown(bound.get(address))


def test_a_bar_has_parts_as_long_as_what_they_stand_for() -> None:
    flag = define_typed("color", "string", COLORS)
    variants = variant_shares(flag, on=7, off=1, numbers_on={0: 2, 3: 4, 1001: 1})
    bar = share_bar(flag_tree.Totals(7, 1, variants=variants))
    parts = re.findall(r'class="fs-share-(\w+)" x="([\d.]+)%" width="([\d.]+)%"', bar)
    assert parts == [("0", "0.00", "25.00"), ("2", "25.00", "50.00"), ("custom", "75.00", "12.50")]


def test_words_name_the_variants_that_most_have() -> None:
    flag = define_typed("level", "integer", {f"v{number}": number for number in range(1, 8)})
    numbers_on = {number: number for number in range(1, 8)}
    variants = variant_shares(flag, on=28, off=0, numbers_on=numbers_on)
    assert variant_words(variants) == "v7 for 7, v6 for 6, v5 for 5, v4 for 4, 3 more for 6"


def test_the_sum_of_a_branch_has_the_variants_of_its_parts(cast: Cast, flag: Flag) -> None:
    branch = flag_tree.branch_below(Caller("user:olga", Role.ADMIN), flag, None)
    assert branch.totals
    assert told([asdict(one) for one in branch.totals.variants]) == {"blue": 2, "red": 3, "custom": 2, None: 1}


def test_the_statistic_tells_variants_of_flags_that_have_some(cast: Cast, flag: Flag) -> None:
    set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True)
    points = {point["label"]: point["details"] for point in statistics.STATISTICS["adoption"].compute()}
    assert points["color"]["variants"] == {"red": 3, "blue": 2, "custom": 2, "(no value)": 1}
    assert "variants" not in points["checkout"]


def test_the_usage_report_has_a_table_of_variants_and_each_state_has_its_own(cast: Cast, flag: Flag) -> None:
    set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True)
    report = report_figures("usage", last_days(2), cast.acme.pk, details=True)
    assert rows_of(report, "variants") == [
        ("color", "blue", 0, 0), ("color", "red", 3, 0.5), ("color", "green", 0, 0),
        ("color", "a custom value", 2, 2 / 6), ("color", "no value", 1, 1 / 6),
    ]  # fmt: skip
    states = {(row[1], row[3]): row[-1] for row in rows_of(report, "states")}
    assert (states["acme", "color"], states["oslo", "color"], states["rome", "color"]) == ("red", "custom", None)
    assert states["oslo", "checkout"] == "on"


def test_a_report_without_such_flags_has_no_table_of_variants(cast: Cast) -> None:
    set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True)
    assert "variants" not in [table.name for table in report_figures("usage", last_days(2)).tables]


def test_the_command_shows_variants(cast: Cast, flag: Flag) -> None:
    assert "red for 3, a custom value for 2" in run("adoption", "color", "--organization", "acme").out
    assert "Variants: blue for all 2." in run("adoption", "color", "--organization", "rival").out
    assert told(run("adoption", "color", "--json").document["variants"])["red"] == 3
