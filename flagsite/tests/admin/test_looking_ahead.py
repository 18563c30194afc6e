"""Moving an organization and setting a flag in the admin site: what is said before it is done is what is done."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import unescape
from typing import Any

import pytest
from django.test import Client

from conftest import Cast
from flags.definitions import service
from flags.states import preview
from flags.states.models import FlagSetting, FlagState
from flags.states.set_flag import set_flag
from flagsite.tests.admin.values import mark, put
from jobs.engine import runner
from orgs.audit.models import AuditEntry
from orgs.tests.people import shown, signed_in
from orgs.tests.trees import paths
from orgs.tree import tree_operations
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db
TREE = "/admin/orgs/organization/"


def move_shown(client: Client, organization: Organization, parent: str, **more: str) -> tuple[list[str], str]:
    """What is said before a move is made, and the mark that goes along with a yes to it."""
    page = shown(client.post(f"{TREE}{organization.pk}/move/do/", {"parent": parent, **more}))
    said = page.partition('id="preview"')[2].partition("</ul>")[0]
    return re.findall("<li>(.*?)</li>", said), mark(page)


def test_a_move_is_shown_before_it_is_made(cast: Cast) -> None:
    put(cast.south, "checkout", True)
    put(cast.acme, "search", True)
    client = signed_in("admin")
    said, looked_at = move_shown(client, cast.oslo, "south")
    assert said == [
        "1 organization moves below South (south).",
        "1 organization gets another stored value of checkout.",
    ]
    assert "acme/north/oslo" in paths()
    asked = {"parent": "south", "shown": looked_at, "reason": "Near Rome"}
    client.post(f"{TREE}{cast.oslo.pk}/move/do/", asked)
    assert "acme/south/oslo" in paths()
    assert AuditEntry.objects.get(action="organization.move").reason == "Near Rome"


@pytest.mark.parametrize("more", [{"confirmed": "1"}, {"shown": ""}, {"shown": "elsewhere"}, {"parent": "rome"}])
def test_a_move_that_is_not_what_was_shown_is_shown_again(cast: Cast, more: dict[str, str]) -> None:
    client = signed_in("admin")
    _, looked_at = move_shown(client, cast.oslo, "south")
    asked = {"parent": "south"} | ({} if "confirmed" in more else {"shown": looked_at}) | more
    said, anew = move_shown(client, cast.oslo, **asked)
    assert said[0] == f"1 organization moves below {'Rome (rome)' if 'parent' in more else 'South (south)'}."
    assert "acme/north/oslo" in paths()
    client.post(f"{TREE}{cast.oslo.pk}/move/do/", {"parent": more.get("parent", "south"), "shown": anew})
    assert "acme/north/oslo" not in paths()


def test_a_move_is_shown_again_when_it_would_do_something_else_by_now(cast: Cast) -> None:
    client = signed_in("admin")
    _, looked_at = move_shown(client, cast.oslo, "south")
    put(cast.south, "checkout", True)
    said, _ = move_shown(client, cast.oslo, "south", shown=looked_at)
    assert said[1:] == ["1 organization gets another stored value of checkout."]
    assert "acme/north/oslo" in paths()


def test_a_move_tells_of_settings_that_it_carries_along(cast: Cast) -> None:
    put(cast.rival, "checkout", True)
    put(cast.oslo, "checkout", False)
    client = signed_in("admin")
    said, looked_at = move_shown(client, cast.north, "rival")
    assert said == [
        "3 organizations move below Rival (rival).",
        "2 organizations get another stored value of checkout; 1 organization keeps its own setting.",
    ]
    client.post(f"{TREE}{cast.north.pk}/move/do/", {"parent": "rival", "shown": looked_at})
    assert FlagState.objects.get(organization=cast.oslo).source_id == cast.oslo.pk
    assert FlagState.objects.get(organization=cast.bergen).source_id == cast.rival.pk


def test_a_move_tells_of_values_that_are_still_on_their_way(cast: Cast) -> None:
    put(cast.acme, "checkout", True)
    set_flag(organization_id=cast.south.pk, flag_key="checkout", enabled=False)  # its job waits
    said, _ = move_shown(signed_in("admin"), cast.north, "south")
    assert said[1:] == ["3 organizations get another stored value of checkout."]


def test_a_move_that_changes_no_value_says_so(cast: Cast) -> None:
    put(cast.acme, "checkout", True)
    client = signed_in("admin")
    quiet = "No flag gets another value."
    assert move_shown(client, cast.north, "south")[0][1:] == [quiet]
    lost = "3 organizations get another stored value of checkout."
    assert move_shown(client, cast.north, "")[0][1:] == [lost], "what it has inherited until now"
    assert move_shown(client, cast.north, "acme")[0][1:] == ["The organization is already there."]


def test_a_preview_of_a_move_describes_so_many_flags(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    for flag in ("a", "b", "c"):
        put(cast.south, flag, True)
    monkeypatch.setattr(preview, "MAX_DESCRIBED_FLAGS", 1)
    assert move_shown(signed_in("admin"), cast.north, "south")[0][2] == "The same happens to 2 more flags."


@pytest.mark.parametrize(
    ("parent", "words"),
    [
        ("oslo", "below itself or below one of its descendants"),
        ("nowhere", "No organization that you may see"),
        (str(10**30), "No organization that you may see"),
    ],
)
def test_a_move_that_cannot_be_is_refused_in_words(cast: Cast, parent: str, words: str) -> None:
    client = signed_in("admin")
    assert words in shown(client.post(f"{TREE}{cast.north.pk}/move/do/", {"parent": parent}))
    assert "acme/north/oslo" in paths()


def test_a_switch_is_shown_before_it_is_made(cast: Cast) -> None:
    put(cast.north, "checkout", True)
    put(cast.oslo, "checkout", True)
    client = signed_in("operator", name="olga")
    address = f"/admin/flags/flag/set/{cast.acme.pk}/"
    values: dict[str, Any] = {"flag": "checkout", "enabled": "true", "reason": "Launch"}
    page = shown(client.post(address, values))
    figures = [part.partition("<")[0] for part in page.partition('id="preview"')[2].split("<strong>")[2:4]]
    assert figures == ["6", "3"]
    assert f"2 settings below {cast.acme.name} end." in page
    assert FlagState.objects.count() == 3
    client.post(address, values | {"shown": mark(page)})
    while runner.run_next("propagation"):
        pass
    assert FlagState.objects.filter(enabled=True, source_id=cast.acme.pk).count() == 6
    entry = AuditEntry.objects.filter(action="flag.set").latest("id")
    assert (entry.actor, entry.reason, entry.via) == ("user:olga", "Launch", "admin")


@pytest.mark.parametrize(
    "more", [{"flag": "brand-new-typo", "enabled": "true"}, {"enabled": "true"}, {"shown": ""}, {"confirmed": "1"}]
)
def test_a_switch_that_is_not_what_was_shown_is_shown_again(cast: Cast, more: dict[str, str]) -> None:
    put(cast.acme, "checkout", True)
    client = signed_in("operator")
    address = f"/admin/flags/flag/set/{cast.acme.pk}/"
    asked = {"flag": "checkout", "enabled": "false", "reason": "x"}
    looked_at = mark(shown(client.post(address, asked)))
    other = asked | ({} if more == {"confirmed": "1"} else {"shown": looked_at}) | more
    page = shown(client.post(address, other))
    assert ("has changed since this page was shown" in page) == ("shown" in other)
    assert ("There is no flag <strong>brand-new-typo</strong> yet. This change creates it." in page) == ("flag" in more)
    assert not AuditEntry.objects.filter(via="admin").exists()
    assert client.post(address, other | {"shown": mark(page)}).status_code == 302


def test_a_switch_of_an_unknown_flag_offers_names_that_are_written_nearly_alike(cast: Cast) -> None:
    put(cast.acme, "checkout", True)
    client, address = signed_in("operator"), f"/admin/flags/flag/set/{cast.acme.pk}/"
    for name, offered in (("chekout", True), ("brand-new", False), ("checkout", False)):
        page = unescape(shown(client.post(address, {"flag": name, "enabled": "true"})))
        assert ("This change creates it. Did you mean 'checkout'?" in page) is offered


def test_a_switch_is_made_while_a_job_carries_the_flag_down(cast: Cast) -> None:
    client = signed_in("operator")
    address = f"/admin/flags/flag/set/{cast.acme.pk}/"
    set_flag(organization_id=cast.acme.pk, flag_key="checkout", enabled=True)
    asked = {"flag": "checkout", "enabled": "false", "reason": "A mistake"}
    looked_at = mark(shown(client.post(address, asked)))
    runner.run_next("propagation")
    assert client.post(address, asked | {"shown": looked_at}).status_code == 302


def test_where_nobody_set_a_flag_its_default_counts(cast: Cast) -> None:
    service.create(key="checkout", values={"enabled": True}, by="user:olga")
    page = shown(signed_in("operator").post(
        f"/admin/flags/flag/set/{cast.north.pk}/", {"flag": "checkout", "enabled": "true", "reason": "x"}
    ))  # fmt: skip
    assert "<strong>0</strong> get a new value" in page


def test_a_flag_that_setting_would_not_create_is_refused_in_words(cast: Cast, settings: Any) -> None:
    settings.FLAGS_CREATE_ON_SET = False
    asked = {"flag": "checkout", "enabled": "true", "reason": "x"}
    page = shown(signed_in("operator").post(f"/admin/flags/flag/set/{cast.north.pk}/", asked))
    assert "There is no flag &#x27;checkout&#x27;." in page


@pytest.mark.parametrize("values", [{"flag": "no spaces"}, {"flag": ""}, {"enabled": "maybe"}])
def test_a_switch_that_makes_no_sense_is_refused_in_words(cast: Cast, values: dict[str, str]) -> None:
    asked = {"flag": "checkout", "enabled": "true", "reason": "x"} | values
    page = shown(signed_in("operator").post(f"/admin/flags/flag/set/{cast.oslo.pk}/", asked))
    assert 'class="errorlist' in page
    assert not FlagState.objects.exists()


def switched(client: Client, organization: Organization, **values: str) -> str:
    """Set a flag on the page of an organization after a look at the preview, which is returned."""
    address = f"/admin/flags/flag/set/{organization.pk}/"
    asked = {"flag": "checkout", "reason": "x", **values}
    page = shown(client.post(address, asked))
    if 'id="preview"' in page:
        assert client.post(address, asked | {"shown": mark(page)}).status_code == 302
        while runner.run_next("propagation"):
            pass
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def test_a_lock_an_exemption_and_a_reset_are_shown_before_they_are_made(cast: Cast) -> None:
    put(cast.oslo, "checkout", True)
    client = signed_in("operator", name="olga")

    def is_on() -> set[str]:
        return set(FlagState.objects.filter(enabled=True).values_list("organization__key", flat=True))

    page = switched(client, cast.acme, enabled="false", below="lock")
    assert "and is locked" in page
    assert "1 below Acme has its own setting that does not count until the lock is gone" in page
    assert is_on() == set()
    assert "locked by the organization Acme (acme)" in switched(client, cast.oslo, enabled="true", below="keep")
    assert "does not hold here and below any more" in switched(client, cast.oslo, enabled="exempt")
    assert is_on() == {"oslo"}
    assert "holds here and below again" in switched(client, cast.oslo, enabled="end")
    assert is_on() == set()
    assert "gets the inherited value" in switched(client, cast.acme, enabled="reset", below="keep")
    assert is_on() == {"oslo"}


def test_a_value_may_count_here_only_and_end_by_itself(cast: Cast) -> None:
    service.create(key="checkout", values={}, by="user:olga")
    client = signed_in("operator", name="olga")
    page = switched(client, cast.acme, enabled="true", below="keep", only_here="on", expires_at="2099-01-31T09:30")
    assert "gets the stored value on, here only. This ends by itself at 2099-01-31 09:30 UTC." in page
    assert "1 gets a new value" in page
    setting = FlagSetting.objects.get()
    assert (setting.only_here, setting.expires_at) == (True, datetime(2099, 1, 31, 9, 30, tzinfo=UTC))
    switched(client, cast.acme, enabled="false", below="lock")
    switched(client, cast.oslo, enabled="exempt", below="keep", expires_at="2099-02-01T10:00+01:00")
    until = FlagSetting.objects.get(organization=cast.oslo).exempt_until
    assert until == datetime(2099, 2, 1, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"enabled": "true", "only_here": "on", "below": "lock"}, "Only a value counts here only"),
        ({"enabled": "reset", "only_here": "on", "below": "keep"}, "Only a value counts here only"),
        ({"enabled": "reset", "expires_at": "2099-01-01T00:00"}, "Only a value, a lock or an exemption ends"),
        ({"enabled": "true", "expires_at": "2001-01-01T00:00"}, "This time has passed."),
        ({"enabled": "true", "expires_at": "soon"}, "This is not a date and time."),
    ],
)
def test_what_cannot_be_of_a_value_is_refused_in_words(cast: Cast, values: dict[str, str], words: str) -> None:
    put(cast.oslo, "checkout", True)
    assert words in switched(signed_in("operator"), cast.oslo, **values)
    assert FlagSetting.objects.count() == 1


def test_an_entry_of_the_audit_log_leads_to_the_page_that_undoes_its_change(cast: Cast) -> None:
    put(cast.oslo, "checkout", False)
    put(cast.acme, "checkout", True)
    client = signed_in("operator", name="olga")
    entry = AuditEntry.objects.filter(action="flag.set").latest("id")
    page = shown(client.get(f"/admin/orgs/auditentry/{entry.pk}/change/"))
    address = f"/admin/flags/flag/undo/{entry.details['changeNumber']}/"
    assert f'href="{address}"' in page
    assert "set checkout on for Acme. The undo restores" in shown(client.get(address))
    viewer = signed_in("viewer", name="vic")
    for with_history in ("/admin/orgs/auditentry/", f"/admin/orgs/organization/{cast.acme.pk}/change/"):
        assert f'href="{address}"' in shown(client.get(with_history))
        assert f'href="{address}"' not in shown(viewer.get(with_history))
    done = client.post(address, {"reason": "the wrong region"}, follow=True)
    assert f"Change {entry.details['changeNumber']} is undone: 2 settings restored." in shown(done)
    while runner.run_next("propagation"):
        pass
    assert FlagState.objects.get(organization=cast.oslo).enabled is False
    assert AuditEntry.objects.get(action="flag.undo").reason == "the wrong region"
    viewer = signed_in("viewer", name="vera")
    assert address not in shown(viewer.get(f"/admin/orgs/auditentry/{entry.pk}/change/"))
    assert viewer.get(address).status_code == 403
    bound = signed_in("operator", name="bo", bound_to=cast.rival)
    assert bound.get(address).status_code == 404


def test_a_lock_needs_a_value(cast: Cast) -> None:
    put(cast.oslo, "checkout", True)
    page = switched(signed_in("operator"), cast.acme, enabled="reset", below="lock")
    assert "A lock needs a value: choose on or off." in page


def test_access_is_checked_once_more_where_a_flag_is_set(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    service.create(key="checkout", values={}, by="user:olga")
    client = signed_in("operator", bound_to=cast.north)
    address = f"/admin/flags/flag/set/{cast.oslo.pk}/"
    asked = {"flag": "checkout", "enabled": "true", "reason": "x"}
    looked_at = mark(shown(client.post(address, asked)))
    look = preview.switch

    def then_it_is_moved(*about: Any, **wanted: Any) -> preview.SwitchPreview:
        seen = look(*about, **wanted)
        tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.rival.pk)
        return seen

    monkeypatch.setattr(preview, "switch", then_it_is_moved)
    assert "you have no access to it" in shown(client.post(address, asked | {"shown": looked_at}))
    assert not FlagState.objects.exists()
