"""The commands and the pages of the admin site that tell the past, and what differs between two moments."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client

from conftest import Cast
from flags.definitions import service
from flags.states.set_flag import set_flag
from flags.states.setting_rules import Below
from jobs.engine import runner
from orgs.tests.commands import run
from orgs.tests.people import shown, signed_in
from orgs.tree import tree_operations
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db


def set_(organization: Organization, *, enabled: bool, flag: str = "checkout", **more: Any) -> int:
    change = {"below": Below.KEEP, "requested_by": "olga", "reason": "the launch", **more}
    number = set_flag(organization_id=organization.pk, flag_key=flag, enabled=enabled, **change).change.number
    while runner.run_next("propagation"):
        pass
    return number


def second() -> str:
    """A time to the second between what was done before and what is done after, as a person types it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS')")
        return str(cursor.fetchone()[0])


def long_ago(days: int = 2) -> None:
    """Let all that was done have been done days ago."""
    with connection.cursor() as cursor:
        for table, *columns in (
            ("flags_change", "created_at"), ("flags_flagsetting", "created_at"), ("flags_flag", "created_at"),
            ("flags_replacedsetting", "created_at", "replaced_at"), ("orgs_organization", "created_at"),
            ("flags_historybegin", "begins_at"), ("jobs_job", "completed_at"),
        ):  # fmt: skip
            moved = ", ".join(f"{column} = {column} - interval '{days} days'" for column in columns)
            cursor.execute(f"UPDATE {table} SET {moved}")


def page_of(client: Client, organization: Organization, **query: str) -> str:
    return shown(client.get(f"/admin/orgs/organization/{organization.pk}/change/?{urlencode(query)}"))


def cells(page: str, table: str) -> str:
    return page.partition(f'id="{table}"')[2].partition("</table>")[0]


def test_flag_state_tells_the_state_of_then(cast: Cast) -> None:
    first = set_(cast.acme, enabled=True)
    set_(cast.oslo, enabled=False)
    document = run("flag_state", "oslo", "checkout", "--at", str(first), "--json").document
    assert (document["enabled"], document["sourceOrganizationKey"]) == (True, "acme")
    assert (document["past"]["changeNumber"], document["past"]["requestedBy"]) == (first, "olga")
    (row,) = run("flag_state", "oslo", "--at", str(first), "--json").document["results"]
    assert row["enabled"] is True
    assert "past" not in run("flag_state", "oslo", "checkout", "--json").document


def test_flag_state_tells_what_has_changed_between_two_moments(cast: Cast) -> None:
    first = set_(cast.acme, enabled=True)
    set_(cast.acme, enabled=True, flag="basket")
    second_number = set_(cast.oslo, enabled=False)
    since = set_(cast.acme, enabled=True, flag="later")
    document = run("flag_state", "oslo", "--at", str(first), "--until", str(since), "--json").document
    new = [
        {
            "featureFlagName": key, "enabledBefore": None, "enabledAfter": True, "differs": ["new flag"],
            "by": [f"olga (change {number}): the launch"],
        }
        for key, number in (("basket", second_number - 1), ("later", since))
    ]  # fmt: skip
    assert [row for row in document["results"] if row["enabledBefore"] is None] == new
    assert [row for row in document["results"] if row["enabledBefore"] is not None] == [
        {
            "featureFlagName": "checkout", "enabledBefore": True, "enabledAfter": False,
            "differs": ["value", "source", "setting"], "by": [f"olga (change {second_number}): the launch"],
        }
    ]  # fmt: skip
    assert run("flag_state", "oslo", "checkout", "--at", str(second_number), "--until", str(since)).lines == [
        "No flag has changed."
    ]
    service.update(key="checkout", values={"killed": True}, by="ivan")
    (row,) = run("flag_state", "rome", "checkout", "--at", str(since), "--until", "now", "--json").document["results"]
    assert (row["differs"], row["by"]) == (["value", "definition"], ["ivan (version 2 of the definition)"])


def test_the_commands_refuse_what_is_no_moment(cast: Cast) -> None:
    set_(cast.acme, enabled=True)
    for arguments in (("flag_state", "oslo", "--at", "2999-01-01"), ("explain_flag", "checkout", "--at", "soon")):
        ran = run(*arguments)
        assert ran.status != 0
        assert "Write a time such as" in ran.error
    assert run("flag_state", "oslo", "--until", "now").status != 0


def test_explain_flag_explains_the_past(cast: Cast) -> None:
    number = set_(cast.acme, enabled=True)
    set_(cast.acme, enabled=False)
    ran = run("explain_flag", "checkout", "--organization", "oslo", "--at", str(number))
    assert ran.lines[0].startswith("checkout was, at ")
    assert " on (" in ran.lines[0]
    document = run("explain_flag", "checkout", "--organization", "oslo", "--at", str(number), "--json").document
    assert (document["enabled"], document["past"]["changeNumber"]) == (True, number)


def test_the_page_of_an_organization_shows_its_flags_at_a_time_and_what_has_changed_since(cast: Cast) -> None:
    set_(cast.acme, enabled=True)
    set_(cast.acme, enabled=True, flag="basket")
    long_ago()
    at = second()
    long_ago()
    set_(cast.oslo, enabled=False, reason="too slow")
    client = signed_in("viewer")
    page = page_of(client, cast.oslo, at=at)
    past = cells(page, "past-flags")
    assert "No flag" not in past
    assert past.count("<tr") == 3
    assert "olga" in past
    changed = cells(page, "past-differences")
    assert "until now" in changed
    assert "too slow" in changed
    assert "checkout" in changed
    assert "basket" not in changed
    same = cells(page_of(client, cast.oslo, at=at, until=at), "past-differences")
    assert "No flag has changed." in same


@pytest.mark.parametrize(
    ("at", "words"),
    [("2999-01-01T00:00:00", "in the future"), ("2001-01-01T00:00:00", "History begins"), ("x", "valid date")],
)
def test_the_page_says_why_there_is_no_answer(cast: Cast, at: str, words: str) -> None:
    page = page_of(signed_in("viewer"), cast.oslo, at=at)
    assert words in page
    assert 'id="past-flags"' not in page


def test_a_person_with_a_scope_sees_nothing_of_what_is_above(cast: Cast) -> None:
    set_(cast.acme, enabled=True, reason="secret")
    tree_operations.move(organization_id=cast.rome.pk, parent_id=cast.north.pk)
    long_ago()
    past = cells(page_of(signed_in("viewer", bound_to=cast.north), cast.oslo, at=second()), "past-flags")
    assert "checkout" in past
    for hidden in ("secret", "olga", cast.acme.name):
        assert hidden not in past
    assert "an ancestor" in past


def test_the_page_that_tries_out_a_flag_takes_a_moment(cast: Cast) -> None:
    number = set_(cast.acme, enabled=True)
    set_(cast.acme, enabled=False)
    flag = service.flag_called("checkout")
    client = signed_in("viewer")
    given = {"organization": "oslo", "user": "u", "environment": ""}
    page = shown(client.post(f"/admin/flags/flag/{flag.pk}/evaluate/", {**given, "at": str(number)}))
    result = page.partition('id="result"')[2].partition("</section>")[0]
    assert f"Caused by change {number} of olga: the launch" in result
    assert "UTC" in result
    page = shown(client.post(f"/admin/flags/flag/{flag.pk}/evaluate/", {**given, "at": "tomorrow"}))
    assert "Write a time such as" in page


def test_the_page_that_tries_out_a_flag_links_no_deleted_organization(cast: Cast) -> None:
    number = set_(cast.north, enabled=True)
    tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.south.pk)
    tree_operations.delete(organization_id=cast.north.pk, subtree=True)
    flag = service.flag_called("checkout")
    given = {"organization": "oslo", "user": "u", "environment": "", "at": str(number)}
    page = shown(signed_in("viewer").post(f"/admin/flags/flag/{flag.pk}/evaluate/", given))
    path = cells(page, "path")
    assert cast.north.name in path
    assert f"/organization/{cast.north.pk}/" not in path
    assert f"/organization/{cast.oslo.pk}/" in path
