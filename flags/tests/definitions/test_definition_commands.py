"""The commands that define, change, archive, purge and explain flags do what the API does."""

from __future__ import annotations

import pytest

from conftest import Cast
from flags.definitions.models import Flag
from flags.states.set_flag import set_flag
from flags.tests.schedules.plans import planned
from orgs.audit.models import AuditEntry
from orgs.tests.commands import OLGA, run

pytestmark = pytest.mark.django_db


def latest() -> tuple[str, str, str, str, str]:
    entry = AuditEntry.objects.latest("id")
    return entry.action, entry.subject, entry.actor, entry.via, entry.reason


def test_a_flag_is_defined_and_changed_with_the_fields_of_the_api() -> None:
    fields = ("owner=shop", "rolloutPercentage=12.5", 'tags=["a"]')
    document = run("define_flag", "checkout", *fields, "--reason", "new", "--json").document
    assert (document["owner"], document["rolloutPercentage"], document["tags"]) == ("shop", 12.5, ["a"])
    assert latest() == ("flag.create", "flag:checkout", OLGA, "command", "new")
    assert run("change_flag", "checkout", "killed=true", "--reason", "fire").out == "checkout is changed, version 2.\n"
    assert latest() == ("flag.update", "flag:checkout", OLGA, "command", "fire")
    assert "has these values already" in run("change_flag", "checkout", "killed=true").out


def test_a_flag_is_archived_restored_and_purged() -> None:
    run("define_flag", "checkout")
    assert "Archive it first" in run("purge_flag", "checkout").error or run("purge_flag", "checkout").status == 1
    assert "is archived" in run("archive_flag", "checkout", "--reason", "done").out
    assert latest() == ("flag.archive", "flag:checkout", OLGA, "command", "done")
    assert run("unarchive_flag", "checkout", "--json").document["archived"] is False
    run("archive_flag", "checkout")
    assert run("purge_flag", "checkout", "--reason", "old", "--json").document["featureFlagName"] == "checkout"
    assert latest() == ("flag.purge", "flag:checkout", OLGA, "command", "old")


def test_who_archives_a_flag_is_told_of_its_scheduled_changes(cast: Cast) -> None:
    planned(cast.oslo)
    planned(cast.bergen)
    archived = run("archive_flag", "checkout")
    assert "2 scheduled changes of checkout still wait. As long as the flag is archived, none" in archived.out
    assert run("archive_flag", "checkout", "--json").document["openSchedules"] == 2


@pytest.mark.parametrize(
    ("arguments", "words", "status"),
    [
        (("define_flag", "a b"), "name: ", 1),
        (("define_flag", "x", "rolloutPercentage=200"), "rolloutPercentage: Not a number from 0 to 100.", 1),
        (("define_flag", "x", "kind=store"), "kind: ", 1),
        (("define_flag", "x", "colour=red"), "colour: This field does not exist here.", 1),
        (("define_flag", "x", "owner"), "'owner' is not FIELD=VALUE", 2),
        (("define_flag", "x", "owner=a", "owner=b"), "The field owner is there twice", 2),
        (("change_flag", "x"), "Nothing to change", 2),
        (("change_flag", "x", "owner=a"), "There is no flag 'x'.", 1),
        (("archive_flag", "x"), "There is no flag 'x'.", 1),
        (("explain_flag", "x"), "There is no flag 'x'.", 1),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...], words: str, status: int) -> None:
    refused = run(*arguments)
    assert words in refused.error
    assert (refused.status, Flag.objects.count()) == (status, 0)


def test_an_evaluation_is_explained_step_by_step(cast: Cast) -> None:
    set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True)
    shown = run("explain_flag", "checkout", "--organization", "oslo", "--user", "joe")
    assert shown.out.startswith("checkout is on (TARGETING_MATCH).")
    assert f"oslo (id {cast.oslo.pk})" in shown.out
    document = run("explain_flag", "checkout", "--organization", f"id:{cast.oslo.pk}", "--json").document
    assert [entry["key"] for entry in document["organizations"]] == ["acme", "north", "oslo"]
    assert document["enabled"] is True
