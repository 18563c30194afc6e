"""The list of flags in the admin site: how far each is on, filters that stay, and archiving many at once."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from conftest import Cast
from flags.definitions import service
from flags.definitions.models import Flag
from flags.insights import list_figures
from flags.insights.adoption_counts import count_adoption
from flags.insights.models import FlagUseTotal
from flags.states.models import Change
from flags.tests.schedules.plans import planned
from flagsite.tests.admin.values import put
from orgs.audit.models import AuditEntry
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
LIST = "/admin/flags/flag/"
TAGS = re.compile(r"<[^>]*>")


def cell(page: str, key: str, column: str) -> str:
    """The text in a column of the row of a flag."""
    row = next(row for row in page.split("<tr")[1:] if f">{key}</a>" in row)
    found = re.search(rf"<td[^>]*field-{column}[^>]*>(.*?)</td>", row, re.DOTALL)
    assert found, column
    return " ".join(TAGS.sub(" ", found[1]).split())


def keys(client: Client, query: str = "") -> list[str]:
    """The keys of the flags in the list."""
    page = shown(client.get(f"{LIST}{query}", follow=True))
    return re.findall(r"/flags/flag/\d+/change/[^>]*>\s*([^<\s]+)\s*</a>", page)


@pytest.fixture
def flags(cast: Cast) -> None:
    """`checkout` is on for acme but not for oslo, `banner` is killed, `old` has expired."""
    put(cast.acme, "checkout", True)
    put(cast.oslo, "checkout", False)
    put(cast.acme, "banner", True)
    service.update(key="banner", values={"killed": True, "owner": "operations"}, by="user:olga")
    service.update(key="checkout", values={"rollout_percentage": 25, "owner": "payments"}, by="user:ada")
    service.create(key="old", values={"expires_on": timezone.now().date() - timedelta(days=3)}, by="user:ada")
    count_adoption()


def test_each_flag_tells_how_far_it_is_on_its_rollout_and_what_was_last(cast: Cast, flags: None) -> None:
    now = timezone.now()
    checkout = Flag.objects.get(key="checkout")
    FlagUseTotal.objects.create(flag_id=checkout.pk, evaluations=3, first_evaluated_at=now, last_evaluated_at=now)
    Change.objects.filter(flag=checkout).update(requested_by="user:tom", created_at=now + timedelta(minutes=1))
    page = shown(signed_in("viewer").get(LIST))
    assert cell(page, "checkout", "share") == "on for 5, off for 3"
    assert 'width="62.50%"' in page
    assert cell(page, "checkout", "rollout") == "25 % of targeting keys"
    assert cell(page, "checkout", "changed") == f"{now + timedelta(minutes=1):%Y-%m-%d %H:%M} user:tom"
    assert cell(page, "checkout", "asked") == f"{now:%Y-%m-%d %H:%M}"
    assert cell(page, "banner", "share") == "off for all 8"
    assert cell(page, "banner", "changed").endswith("user:olga")
    assert cell(page, "banner", "asked") == "never"
    assert [cell(page, key, "state") for key in ("checkout", "banner", "old")] == ["live", "killed", "stale"]
    assert "The flag expired on" in page


def test_bound_people_see_figures_of_their_own_part(cast: Cast, flags: None, monkeypatch: pytest.MonkeyPatch) -> None:
    bound = signed_in("viewer", bound_to=cast.north)
    page = shown(bound.get(LIST))
    assert cell(page, "checkout", "share") == "on for 2, off for 1"
    assert cell(page, "banner", "share") == "off for all 3"
    assert "field-asked" not in page
    assert "user:" not in cell(page, "checkout", "changed")
    monkeypatch.setattr(list_figures, "MAX_COUNTED", 2)
    assert cell(shown(bound.get(LIST)), "checkout", "share") == "not counted yet"


def test_the_list_makes_the_same_queries_for_many_flags_as_for_few(
    cast: Cast, flags: None, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(20):
        service.create(key=f"flag-{number}", values={}, by="user:ada")
    for client in (signed_in("admin"), signed_in("admin", bound_to=cast.acme, name="bo")):
        client.get(LIST)
        with django_assert_max_num_queries(16):
            client.get(LIST)


def test_the_list_is_filtered_by_owner_and_by_staleness(flags: None) -> None:
    client = signed_in("viewer")
    assert keys(client) == ["banner", "checkout", "old"]
    assert keys(client, "?stale=yes") == ["old"]
    assert keys(client, "?stale=no") == ["banner", "checkout"]
    assert keys(client, "?owned_by=pay") == ["checkout"]


def test_filters_stay_until_the_person_clears_them_in_the_list(flags: None) -> None:
    client = signed_in("viewer")
    assert keys(client, "?killed__exact=1") == ["banner"]
    answer = client.get(LIST)
    assert (answer.status_code, answer["Location"]) == (302, f"{LIST}?killed__exact=1")
    cleared = client.get(LIST, headers={"Referer": f"http://testserver{LIST}?killed__exact=1"})
    assert cleared.status_code == 200
    assert client.get(LIST).status_code == 200
    assert keys(client) == ["banner", "checkout", "old"]


def test_a_filter_that_does_not_exist_is_not_kept(flags: None) -> None:
    client = signed_in("viewer")
    client.get(f"{LIST}?killed__exact=perhaps", follow=True)
    assert client.get(LIST, headers={"Referer": "http://testserver/admin/"}, follow=True).status_code == 200


def test_many_flags_are_archived_at_once_each_with_the_reason_in_the_audit_log(cast: Cast, flags: None) -> None:
    client = signed_in("operator")
    planned(cast.oslo, flag="checkout")
    chosen = {"action": "archive", "_selected_action": [flag.pk for flag in Flag.objects.exclude(key="old")]}
    asked = shown(client.post(LIST, chosen))
    assert "Archive 2 flags" in asked
    assert "1 scheduled change of these flags still waits." in asked
    assert not Flag.objects.filter(archived=True).exists()
    seen = re.findall(r'name="seen" value="([^"]*)"', asked)
    done = client.post(LIST, chosen | {"confirmed": "1", "seen": seen, "reason": "nobody asks"}, follow=True)
    assert "2 flags are archived. Reason: nobody asks" in shown(done)
    assert set(Flag.objects.filter(archived=True).values_list("key", flat=True)) == {"banner", "checkout"}
    entries = AuditEntry.objects.filter(action="flag.archive")
    assert {(one.subject, one.actor, one.reason, one.via) for one in entries} == {
        (f"flag:{key}", "user:pat", "nobody asks", "admin") for key in ("banner", "checkout")
    }


def test_a_flag_that_somebody_has_changed_meanwhile_is_skipped_and_told(flags: None) -> None:
    client = signed_in("operator")
    chosen = {"action": "archive", "_selected_action": [flag.pk for flag in Flag.objects.exclude(key="old")]}
    seen = re.findall(r'name="seen" value="([^"]*)"', shown(client.post(LIST, chosen)))
    service.update(key="banner", values={"owner": "quicker"}, by="user:olga")
    done = shown(client.post(LIST, chosen | {"confirmed": "1", "seen": seen}, follow=True))
    assert "1 flag is archived." in done
    assert "banner: Somebody has changed the flag since you read it" in done
    assert [flag.key for flag in Flag.objects.filter(archived=True)] == ["checkout"]


@pytest.mark.parametrize("who", ["viewer", "bound admin"])
def test_who_may_not_define_flags_archives_none(cast: Cast, flags: None, who: str) -> None:
    client = signed_in(who.removeprefix("bound "), bound_to=cast.acme if who.startswith("bound") else None)
    assert 'value="archive"' not in shown(client.get(LIST))
    chosen = {"action": "archive", "_selected_action": [Flag.objects.get(key="old").pk], "confirmed": "1"}
    client.post(LIST, chosen)
    assert not Flag.objects.filter(archived=True).exists()
