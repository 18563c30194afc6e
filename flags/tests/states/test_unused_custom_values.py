"""The clean-up deletes custom values that nothing names any more, and never one that somebody is just setting."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F

from conftest import Cast
from flags.definitions.models import Flag
from flags.models import Change, CustomValue, FlagSetting, FlagState, HistoryBegin, ReplacedSetting
from flags.states import unused_custom_values
from flags.states.choices import Choice
from flags.states.set_flag import reset_flag, set_flag
from flags.states.setting_rules import Below
from flags.states.unused_custom_values import Position, count_unused, delete_some
from flags.tests.typed_flags import define_typed
from flags.undoing.undo_settings import find
from flags.values.variants import FIRST_CUSTOM_VALUE
from flagsite.core.errors import FlagsiteError
from jobs.engine import runner
from jobs.engine.models import Job
from jobs.operations import cleanup
from jobs.tests.races.threads import Background
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.tree import tree_operations
from orgs.tree.models import Organization

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("wake_ups")]
NAMING = (FlagState, FlagSetting, ReplacedSetting, Change)


@pytest.fixture
def flag(cast: Cast) -> Flag:
    return define_typed("color", "string", {"blue": "#00f", "red": "#f00"})


def put(organization: Organization, value: str | None, below: Below = Below.KEEP) -> None:
    choice = Choice(variant="red") if value is None else Choice(value=value)
    set_flag(organization_id=organization.pk, flag_key="color", choice=choice, below=below)
    while runner.run_next("propagation"):
        pass


def let_pass(days: int) -> None:
    """Let everything be older, and the jobs of changes be gone."""
    age = timedelta(days=days)
    ReplacedSetting.objects.update(replaced_at=F("replaced_at") - age, created_at=F("created_at") - age)
    for model in (Change, FlagSetting, CustomValue):
        model._default_manager.update(created_at=F("created_at") - age)
    Change.objects.update(job=None, is_partial=False)
    HistoryBegin.objects.update(begins_at=F("begins_at") - age)


def clean_up(*only: str, days: int | None = None) -> int:
    job = cleanup.request(choice=cleanup.Choice(only=only, days=days))
    runner.run_next("cleanup")
    return int(Job.objects.get(pk=job.pk).result["deleted"].get("customValues", 0))


def values() -> set[str]:
    return set(CustomValue.objects.values_list("value", flat=True))


def before_deletion() -> Position:
    """Where a clean-up stands when it has looked at all flag states, and is about to delete."""
    position, _ = delete_some(None)
    while position is not None and position.looked_at is not None:
        position, _ = delete_some(position)
    assert position
    return position


def names_of_nothing() -> list[Any]:
    """Rows that name a custom value which does not exist."""
    known = CustomValue.objects.values("pk")
    return [
        row
        for model in NAMING
        for row in model._default_manager.filter(variant__gte=FIRST_CUSTOM_VALUE).exclude(variant__in=known)
    ]


def test_a_value_goes_when_history_no_longer_tells_it(cast: Cast, flag: Flag, settings: Any) -> None:
    settings.FLAG_HISTORY_KEEP_DAYS = 30
    put(cast.oslo, "#111")
    put(cast.oslo, "#222")
    put(cast.oslo, None)
    let_pass(40)
    put(cast.bergen, "#333")
    assert (count_unused(), clean_up("customValues")) == (0, 0)  # an undo could still bring them back
    assert clean_up("history", "customValues") == 2
    assert values() == {"#333"}


def test_without_retention_every_value_stays(cast: Cast, flag: Flag) -> None:
    put(cast.oslo, "#111")
    put(cast.oslo, None)
    let_pass(4000)
    assert clean_up() == 0
    assert values() == {"#111"}


@pytest.mark.parametrize("model", NAMING)
def test_whatever_names_a_value_keeps_it(cast: Cast, flag: Flag, model: type[Any]) -> None:
    put(cast.oslo, "#111")
    put(cast.oslo, "#222")
    put(cast.oslo, None)
    let_pass(40)
    kept = CustomValue.objects.get(value="#111").pk
    for naming in NAMING:
        naming._default_manager.update(variant=0)
    first = model._default_manager.order_by("pk").first()
    model._default_manager.filter(pk=first.pk).update(variant=kept, enabled=True)
    assert clean_up("customValues") == 1
    assert values() == {"#111"}


def test_a_value_of_today_stays(cast: Cast, flag: Flag) -> None:
    CustomValue.objects.create(flag=flag, value="#111", digest=b"1" * 16)
    assert clean_up("customValues", days=1) == 0
    let_pass(2)
    assert count_unused() == 1
    assert clean_up("customValues", days=3) == 0
    assert clean_up("customValues", days=1) == 1


def test_the_values_of_an_organization_that_is_gone_go_with_its_history(cast: Cast, flag: Flag, settings: Any) -> None:
    settings.FLAG_HISTORY_KEEP_DAYS = 30
    put(cast.rome, "#111")
    tree_operations.delete(organization_id=cast.rome.pk)
    let_pass(40)
    Change.objects.all().delete()
    assert clean_up("history", "customValues") == 1


def test_many_go_in_short_steps_and_those_of_states_stay(cast: Cast, flag: Flag, monkeypatch: Any) -> None:
    monkeypatch.setattr(unused_custom_values, "MOST_CANDIDATES", 5)
    monkeypatch.setattr(unused_custom_values, "DELETED_AT_ONCE", 2)
    monkeypatch.setattr(unused_custom_values, "LOOKED_AT", 3)
    for number in range(13):
        CustomValue.objects.create(flag=flag, value=f"#{number}", digest=number.to_bytes(16))
    put(cast.acme, "#000")
    kept = CustomValue.objects.get(value="#7")
    FlagState.objects.filter(organization=cast.rome).update(variant=kept.pk)
    let_pass(2)
    assert clean_up("customValues") == 12
    assert values() == {"#7", "#000"}


@pytest.mark.django_db(transaction=True)
def test_a_value_that_somebody_is_setting_stays(cast: Cast, flag: Flag) -> None:
    put(cast.oslo, "#111")
    let_pass(2)
    for model in NAMING:
        model._default_manager.filter(variant__gte=FIRST_CUSTOM_VALUE).update(variant=0)
    assert count_unused() == 1
    position = before_deletion()
    with transaction.atomic():
        set_flag(organization_id=cast.bergen.pk, flag_key="color", choice=Choice(value="#111"))
        deletion = Background(lambda: delete_some(position))
        assert deletion.result()[1] == 0  # does not wait for the set either
    assert delete_some(position)[1] == 0
    assert values() == {"#111"}
    assert names_of_nothing() == []


@pytest.mark.django_db(transaction=True)
def test_who_sets_a_value_that_is_being_deleted_stores_it_anew(cast: Cast, flag: Flag) -> None:
    put(cast.oslo, "#111")
    value = CustomValue.objects.get()
    let_pass(2)
    for model in NAMING:
        model._default_manager.filter(variant__gte=FIRST_CUSTOM_VALUE).update(variant=0)
    with transaction.atomic():
        assert delete_some(before_deletion())[1] == 1
        setting = Background(
            lambda: set_flag(organization_id=cast.bergen.pk, flag_key="color", choice=Choice(value="#111"))
        )
        setting.wait_until_blocked()
    assert setting.result().change.variant != value.pk
    assert values() == {"#111"}
    assert names_of_nothing() == []


@pytest.mark.parametrize("seed", range(4))
def test_whatever_people_do_between_clean_ups_no_row_names_a_value_that_is_gone(
    cast: Cast, flag: Flag, settings: Any, seed: int
) -> None:
    settings.FLAG_HISTORY_KEEP_DAYS = 30
    choose, everybody = random.Random(seed), [*cast.of_acme, cast.rival]
    deleted = 0
    for _ in range(25):
        what, organization = choose.choice(["set", "set", "set", "reset", "undo", "clean"]), choose.choice(everybody)
        if what == "set":
            put(organization, choose.choice(["#1", "#2", "#3", None]), choose.choice(list(Below)[:2]))
        elif what == "reset":
            reset_flag(organization_id=organization.pk, flag_key="color")
        elif what == "undo":
            undo_last()
        else:
            let_pass(choose.choice([1, 40]))
            deleted += clean_up("history", "customValues")
        assert names_of_nothing() == []
    assert deleted or seed


def undo_last() -> None:
    last = Change.objects.order_by("-number").first()
    if last is None:
        return
    try:
        change = find(Caller("user:olga", Role.ADMIN), last.number)
        if change is not None:
            change.undo()
    except FlagsiteError:
        pass
