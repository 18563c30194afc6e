"""set_flag and flag_state: what they do, print and refuse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conftest import Cast
from flags.definitions.models import Flag
from flags.states.models import Change, FlagSetting, FlagState
from flags.states.set_flag import set_flag
from jobs.console import chain_polling
from jobs.engine.models import Job
from jobs.engine.runner import run_next
from jobs.tests.engine_steps import in_pauses
from orgs.tests.commands import OLGA, audit_entries, run
from orgs.tree import tree_operations

pytestmark = pytest.mark.django_db


def on(where: int, flag: str = "checkout", *, enabled: bool = True) -> None:
    set_flag(organization_id=where, flag_key=flag, enabled=enabled)
    while run_next("propagation"):
        pass


def test_a_leaf_has_the_value_at_once(cast: Cast) -> None:
    ran = run("set_flag", "oslo", "checkout", "on", "--reason", "pilot")
    assert ran.lines == [
        "There was no flag checkout. This change has defined it.",
        f"checkout is on for oslo (id {cast.oslo.pk}). There is nothing below it.",
    ]
    assert ran.status == 0
    assert (FlagState.objects.get().enabled, Change.objects.get().requested_by) == (True, OLGA)
    assert audit_entries() == [
        (OLGA, "flag.create", "flag:checkout", "pilot", "command"),
        (OLGA, "flag.set", "flag:checkout", "pilot", "command"),
    ]
    document = run("set_flag", cast.oslo.pk, "checkout", "off", "--wait", "--json").document
    assert document == {
        "organizationId": cast.oslo.pk, "organizationKey": "oslo", "featureFlagName": "checkout", "enabled": False,
        "variant": "off", "value": False, "storedValue": False, "reason": "TARGETING_MATCH",
        "changeNumber": document["changeNumber"], "created": False, "jobId": None,
    }  # fmt: skip
    assert FlagState.objects.get().enabled is False


def test_on_a_parent_a_job_begins_that_knows_who_asked(cast: Cast) -> None:
    ran = run("set_flag", "acme", "checkout", "on", "--json")
    job = Job.objects.get()
    assert (ran.status, ran.document["jobId"], ran.document["job"]["status"]) == (0, job.pk, "PENDING")
    assert ran.document["waitsFor"] == "No worker is alive for the queue propagation; the job waits until one starts."
    assert job.requested_by == OLGA
    assert job.correlation_id.startswith("command-")
    assert [entry[1] for entry in audit_entries()] == ["flag.create", "flag.set"]
    words = run("set_flag", "north", "checkout", "off").lines
    assert words[0].startswith(f"checkout off for north (id {cast.north.pk}) and everything below: job ")
    assert words[1] == ran.document["waitsFor"]


def test_waiting_ends_when_all_below_have_the_value(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    in_pauses(monkeypatch, chain_polling, lambda _: run_next("propagation"))
    ran = run("set_flag", "acme", "checkout", "on", "--wait")
    assert (ran.status, ran.error) == (0, "")
    assert ran.out.endswith("COMPLETED, 6 organizations\n")
    assert FlagState.objects.filter(enabled=True).count() == 6
    assert "COMPLETED, attempt 1/4: 6 of 6" in capsys.readouterr().err


def test_it_draws_a_bar_on_a_terminal(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    in_pauses(monkeypatch, chain_polling, lambda _: run_next("propagation"))
    run("set_flag", "acme", "checkout", "on", "--wait", "--json")
    errors = capsys.readouterr().err
    assert "━" in errors
    assert "100%" in errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "checkout", "on"], "There is no organization with the key or id 'nowhere'."),
        (["99999999999999999999", "checkout", "on"], "There is no organization with the key or id"),
        (["acme", "bad key", "on"], "The name of a flag has 1 to 255"),
        (["acme", "checkout", "true"], "invalid choice: 'true'"),
        (["acme", "checkout"], "Write exactly one of on, off, --variant and --value."),
    ],
)
def test_what_makes_no_sense_changes_nothing(cast: Cast, arguments: list[str], words: str) -> None:
    ran = run("set_flag", *arguments)
    assert ran.status != 0
    assert words in ran.error
    assert (ran.out, Change.objects.count(), audit_entries()) == ("", 0, [])


def test_where_flags_are_not_made_by_setting_them_an_unknown_one_is_refused(cast: Cast, settings: Any) -> None:
    settings.FLAGS_CREATE_ON_SET = False
    assert run("set_flag", "oslo", "chekout", "on").error == "There is no flag 'chekout'."
    assert not Flag.objects.exists()


def test_digits_are_an_id_unless_they_may_be_a_key(cast: Cast) -> None:
    twin = tree_operations.create(name="Oslo's twin", key=str(cast.oslo.pk), parent_id=None)
    tree_operations.create(name="Nobody's id", key=str(2**40), parent_id=None)
    for ambiguous in (cast.oslo.pk, 2**40):
        refused = run("set_flag", ambiguous, "checkout", "on").error
        assert f"Write id:{ambiguous} for the id or key:{ambiguous} for the key." in refused
    for number in (cast.rome.pk, f"id:{cast.oslo.pk}", f"key:{cast.oslo.pk}"):
        run("set_flag", number, "checkout", "on")
    changed = Change.objects.order_by("number").values_list("organization_id", flat=True)
    assert list(changed) == [cast.rome.pk, cast.oslo.pk, twin.pk]


def test_a_state_says_where_it_comes_from(cast: Cast) -> None:
    on(cast.acme.pk)
    on(cast.oslo.pk, enabled=False)
    job = Job.objects.get()
    bergen = run("flag_state", "bergen", "checkout")
    assert bergen.out.startswith(
        f"checkout is on for bergen (id {cast.bergen.pk}): inherited from acme (id {cast.acme.pk}), since "
    )
    assert bergen.out.endswith(f" UTC by job {job.pk}.\n")
    assert "checkout is off for oslo" in (oslo := run("flag_state", cast.oslo.pk, "checkout").out)
    assert ": set here, since " in oslo
    document = run("flag_state", "bergen", "checkout", "--json").document
    assert [document[name] for name in ("enabled", "inherited", "sourceOrganizationKey", "jobId")] == [
        True, True, "acme", job.pk,
    ]  # fmt: skip
    assert document["updatedAt"].endswith("Z")


def test_a_flag_that_nobody_set_above_is_off_an_unknown_one_is_refused(cast: Cast) -> None:
    on(cast.rival.pk)
    ran = run("flag_state", "oslo", "checkout")
    assert (ran.out, ran.status) == (
        f"checkout is off for oslo (id {cast.oslo.pk}): nobody set it here or above.\n", 0,
    )  # fmt: skip
    assert run("flag_state", "oslo", "chekout").error == "There is no flag 'chekout'."
    assert run("flag_state", "mars", "checkout").status == 1


def test_all_states_of_an_organization_by_name(cast: Cast, django_assert_max_num_queries: Any) -> None:
    assert run("flag_state", "oslo").out == "No flag was ever set on oslo or above it.\n"
    for flag in ("zebra", "apple", "mango"):
        on(cast.acme.pk, flag, enabled=flag != "mango")
    on(cast.oslo.pk, "zebra", enabled=False)
    with django_assert_max_num_queries(8):
        results = run("flag_state", "oslo", "--json").document["results"]
    assert [(one["featureFlagName"], one["enabled"], one["sourceOrganizationKey"]) for one in results] == [
        ("apple", True, "acme"), ("mango", False, "acme"), ("zebra", False, "oslo"),
    ]  # fmt: skip
    lines = run("flag_state", "oslo").lines
    assert [line.split()[:2] for line in lines[1:]] == [["apple", "on"], ["mango", "off"], ["zebra", "off"]]


def test_a_source_that_is_gone_is_named_by_its_id(cast: Cast) -> None:
    on(cast.acme.pk)
    FlagState.objects.filter(organization=cast.oslo).update(source_id=4711)
    assert "inherited from id 4711, deleted" in run("flag_state", "oslo", "checkout").out


def test_a_setting_and_an_exemption_end_when_the_command_says(cast: Cast) -> None:
    run("set_flag", "acme", "checkout", "off", "--below", "lock", "--expires", "2099-01-31T09:00Z")
    run("exempt", "oslo", "checkout", "--until", "7d")
    lock, exemption = FlagSetting.objects.order_by("organization_id")
    assert lock.expires_at == datetime(2099, 1, 31, 9, tzinfo=UTC)
    assert timedelta(days=6) < (exemption.exempt_until or lock.created_at) - exemption.created_at <= timedelta(days=7)
    for command, option in (("set_flag", "--expires"), ("exempt", "--until")):
        words = ("acme", "checkout", "on") if command == "set_flag" else ("oslo", "checkout")
        assert "2001-01-01 is in the past" in run(command, *words, option, "2001-01-01").error


def test_a_refusal_below_a_lock_names_the_organization_with_the_lock(cast: Cast) -> None:
    run("set_flag", "acme", "checkout", "off", "--below", "lock")
    for arguments in (("set_flag", "oslo", "checkout", "on"), ("set_flag", "oslo", "checkout", "on", "--plan"),
                      ("reset_flag", "oslo", "checkout")):  # fmt: skip
        refused = run(*arguments)
        assert (refused.status, "locked by the organization Acme (acme)" in refused.error) == (1, True)
