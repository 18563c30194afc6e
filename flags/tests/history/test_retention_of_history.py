"""The clean-up deletes what is older than the retention, and history begins later."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F

from conftest import Cast
from flags.definitions import service
from flags.history import retention
from flags.models import Change, Flag, FlagSetting, FormerDefinition, FormerPlacement, HistoryBegin, ReplacedSetting
from flags.states.set_flag import set_flag
from jobs.engine import runner
from jobs.engine.models import Job
from jobs.operations import cleanup
from jobs.operations.cleanup import Choice
from orgs.tests.api import Api, kind_of
from orgs.tree import tree_operations
from orgs.tree.models import Organization

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("wake_ups")]
TABLES = {ReplacedSetting: "replaced_at", FormerPlacement: "valid_until", FormerDefinition: "valid_until"}


def set_(organization: Organization, *, enabled: bool) -> int:
    return set_flag(organization_id=organization.pk, flag_key="checkout", enabled=enabled).change.number


def let_pass(days: int) -> None:
    """Let everything be older."""
    age = timedelta(days=days)
    for model, column in TABLES.items():
        model._default_manager.update(**{column: F(column) - age})
    for model in (Change, FlagSetting, ReplacedSetting):
        model._default_manager.update(created_at=F("created_at") - age)
    HistoryBegin.objects.update(begins_at=F("begins_at") - age)
    Organization.objects.update(created_at=F("created_at") - age)
    Flag.objects.update(created_at=F("created_at") - age)


def clean_up(**choice: Any) -> dict[str, int]:
    job = cleanup.request(choice=Choice(only=["history"], **choice))
    runner.run_next("cleanup")
    return dict(Job.objects.get(pk=job.pk).result["deleted"])


def left() -> list[int]:
    return [model._default_manager.count() for model in (*TABLES, Change)]


def test_what_is_old_goes_and_what_held_since_stays(cast: Cast, admin_key: str, settings: Any) -> None:
    settings.FLAG_HISTORY_KEEP_DAYS = 30
    first = set_(cast.oslo, enabled=True)
    second = set_(cast.oslo, enabled=False)
    service.update(key="checkout", values={"owner": "ops"}, by="olga")
    tree_operations.rename(organization_id=cast.oslo.pk, name="Oslo S")
    let_pass(40)
    third = set_(cast.oslo, enabled=True)
    let_pass(1)
    assert left() == [3, 1, 1, 3]
    assert retention.count_old() == 5
    assert clean_up() == {"history": 5}
    assert left() == [1, 0, 0, 2]
    assert set(Change.objects.values_list("number", flat=True)) == {second, third}
    assert clean_up() == {}
    api = Api(admin_key)
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_char(now() AT TIME ZONE 'UTC' - interval '29 days', 'YYYY-MM-DD\"T\"HH24:MIZ')")
        at = cursor.fetchone()[0]
    past = api.get(f"/{cast.oslo.pk}/checkout", at=at).json()
    assert (past["featureFlag"]["enabled"], past["past"]["changeNumber"]) == (False, second)
    assert kind_of(api.get(f"/{cast.oslo.pk}/checkout", at=second)) == "before-history"
    answer = api.post(f"/v1/changes/{second}/undo", {})
    assert kind_of(answer) == "change-not-undoable"
    assert "before history begins" in answer.json()["detail"]
    assert kind_of(api.post(f"/v1/changes/{first}/undo", {})) == "change-not-found"


def test_without_the_setting_everything_stays(cast: Cast) -> None:
    set_(cast.oslo, enabled=True)
    set_(cast.oslo, enabled=False)
    let_pass(4000)
    begin = HistoryBegin.objects.get().begins_at
    assert retention.count_old() == 0
    assert clean_up() == {}
    assert left() == [2, 0, 0, 2]
    assert HistoryBegin.objects.get().begins_at == begin
    assert clean_up(days=365) == {"history": 3}


def test_a_change_whose_job_is_there_stays(cast: Cast) -> None:
    set_(cast.acme, enabled=True)
    set_(cast.acme, enabled=False)
    let_pass(40)
    clean_up(days=30)
    assert Change.objects.count() == 2


def test_many_rows_go_in_several_batches(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH_SIZE", 2)
    for number in range(7):
        set_(cast.oslo, enabled=number % 2 == 0)
    let_pass(40)
    assert clean_up(days=30) == {"history": 7 + 6}
    assert left() == [0, 0, 0, 1]


def test_the_begin_of_history_never_goes_back(cast: Cast) -> None:
    let_pass(100)
    clean_up(days=10)
    later = HistoryBegin.objects.get().begins_at
    clean_up(days=50)
    assert HistoryBegin.objects.get().begins_at == later
