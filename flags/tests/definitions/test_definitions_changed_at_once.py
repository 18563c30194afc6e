"""Two people change definitions at the same moment, each on a connection of their own."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from conftest import Cast
from flags.definitions import service
from flags.definitions.models import Flag
from flags.errors import FlagExists, InvalidDefinition, PrerequisiteCycle, VariantInUse
from flags.states.choices import Choice
from flags.states.set_flag import set_flag
from jobs.tests.races.threads import Background
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of

pytestmark = pytest.mark.django_db(transaction=True)
BASE = "/v1/feature-flags/f"


def define(key: str) -> None:
    service.create(key=key, values={}, by="user:olga")


def test_of_those_who_read_the_same_version_one_wins(admin_key: str) -> None:
    define("f")
    etag = Api(admin_key).get(BASE)["ETag"]

    def patch(number: int) -> Any:
        return Api(admin_key).send("PATCH", BASE, {"owner": f"team {number}"}, If_Match=etag)

    racing = [Background(lambda number=number: patch(number)) for number in range(8)]
    answers = [each.result() for each in racing]
    assert sorted(answer.status_code for answer in answers) == [200, *[412] * 7]
    (winner,) = (answer.json() for answer in answers if answer.status_code == 200)
    flag = Flag.objects.get()
    assert (flag.owner, flag.version) == (winner["owner"], 2)
    assert AuditEntry.objects.filter(action="flag.update").count() == 1


def test_who_waits_for_another_is_refused_once_that_one_has_written(admin_key: str) -> None:
    define("f")
    etag = Api(admin_key).get(BASE)["ETag"]
    with transaction.atomic():
        service.update(key="f", values={"owner": "first"}, by="user:olga")
        second = Background(lambda: Api(admin_key).send("PATCH", BASE, {"owner": "second"}, If_Match=etag))
        second.wait_until_blocked()
    assert kind_of(second.result()) == "flag-changed-meanwhile"
    assert Flag.objects.get().owner == "first"


def test_without_if_match_both_are_written_one_after_the_other(admin_key: str) -> None:
    define("f")
    with transaction.atomic():
        service.update(key="f", values={"owner": "first"}, by="user:olga")
        second = Background(lambda: service.update(key="f", values={"tags": ["second"]}, by="user:olga"))
        second.wait_until_blocked()
    second.result()
    flag = Flag.objects.get()
    assert (flag.owner, flag.tags, flag.version) == ("first", ["second"], 3)


def test_two_writes_cannot_close_a_circle_together() -> None:
    define("a")
    define("b")
    with transaction.atomic():
        service.update(key="a", values={"prerequisites": ["b"]}, by="user:olga")
        second = Background(lambda: service.update(key="b", values={"prerequisites": ["a"]}, by="user:olga"))
        second.wait_until_blocked()
    with pytest.raises(PrerequisiteCycle, match="b -> a -> b"):
        second.result()
    assert Flag.prerequisites.through.objects.count() == 1


def test_a_name_that_two_want_goes_to_one() -> None:
    with transaction.atomic():
        define("f")
        second = Background(lambda: define("f"))
        second.wait_until_blocked()
    with pytest.raises(FlagExists):
        second.result()
    with transaction.atomic():
        Flag.objects.create(key="g")  # by a set on an organization, which takes no lock on the definitions
        second = Background(lambda: define("g"))
        second.wait_until_blocked()
    with pytest.raises(FlagExists):
        second.result()


@pytest.mark.parametrize(
    ("choice", "values", "refusal"),
    [
        (Choice(variant="red"), {"variants": [{"key": "blue", "value": "#00f"}]}, VariantInUse),
        (Choice(value="#0f0"), {"value_schema": {"enum": ["#00f", "#f00"]}}, InvalidDefinition),
    ],
)
def test_a_definition_waits_for_who_sets_a_variant_or_value_that_it_would_make_impossible(
    cast: Cast, choice: Choice, values: dict[str, Any], refusal: type[Exception]
) -> None:
    colors = [{"key": "blue", "value": "#00f"}, {"key": "red", "value": "#f00"}]
    service.create(key="color", values={"type": "string", "variants": colors}, by="user:olga")
    with transaction.atomic():
        set_flag(organization_id=cast.oslo.pk, flag_key="color", choice=choice)
        changing = Background(lambda: service.update(key="color", values=values, by="user:ada"))
        changing.wait_until_blocked()
    with pytest.raises(refusal):
        changing.result()
    assert Flag.objects.get().version == 1
