"""The pages that check and repair the tree, delete old jobs, and let processes read caches again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from conftest import Cast
from flags.definitions import service
from jobs.engine.models import Job
from jobs.operations import cleanup
from jobs.tests.api.api_kinds import done
from orgs.audit.models import AuditEntry
from orgs.tests.people import shown, signed_in
from orgs.tests.test_check_tree import CAST, damage
from orgs.tests.trees import paths
from orgs.tree import integrity

pytestmark = pytest.mark.django_db
TREE = "/admin/orgs/organization/tree/"
CLEAN_UP = "/admin/jobs/job/clean-up/"
INVALIDATE = "/admin/flags/flag/invalidate/"


@pytest.mark.parametrize("who", ["viewer", "operator", "admin", "bound admin"])
def test_who_may_open_the_pages(cast: Cast, who: str) -> None:
    client = signed_in(who.removeprefix("bound "), bound_to=cast.north if who.startswith("bound") else None)
    opened = {path for path in (TREE, CLEAN_UP, INVALIDATE) if client.get(path).status_code == 200}
    posted = {path for path in (TREE, CLEAN_UP, INVALIDATE) if client.post(path, {}).status_code != 403}
    expected: dict[str, set[str]] = {
        "viewer": set(), "operator": {CLEAN_UP, INVALIDATE}, "admin": {TREE, CLEAN_UP, INVALIDATE},
        "bound admin": {INVALIDATE},
    }  # fmt: skip
    assert opened == posted == expected[who]


def test_lists_offer_the_pages_to_those_who_may_open_them(cast: Cast) -> None:
    for who, offered in (("admin", True), ("viewer", False)):
        client = signed_in(who, name=who)
        for page in (TREE, CLEAN_UP, INVALIDATE):
            found = shown(client.get("/".join(page.split("/")[:4]) + "/"))
            assert (f'href="{page}"' in found) == offered, (who, page)


def test_a_sound_tree_needs_no_repair(cast: Cast) -> None:
    page = shown(signed_in("admin").get(TREE))
    assert "The tree has no problems: 8 organizations." in page
    assert "Repair the tree" not in page


def test_an_administrator_repairs_the_tree_with_a_reason(cast: Cast) -> None:
    damage("rome", level=1)
    client = signed_in("admin")
    page = shown(client.get(TREE))
    assert "1 problem in 8 organizations." in page
    assert "has level 1, not 2" in page
    assert not integrity.find_problems().sound
    answer = client.post(TREE, {"reason": "A restore by hand"}, follow=True)
    assert "The columns of 1 organization are repaired." in shown(answer)
    assert paths() == CAST
    entry = AuditEntry.objects.latest("id")
    assert (entry.action, entry.actor, entry.reason) == ("tree.repair", "user:pat", "A restore by hand")


def test_an_operator_sees_what_a_clean_up_deletes_and_starts_it(cast: Cast) -> None:
    Job.objects.filter(pk=done(cast.acme).pk).update(completed_at=timezone.now() - timedelta(days=4_000))
    client = signed_in("operator")
    page = shown(client.get(CLEAN_UP))
    assert "1 completed and 0 cancelled" in page
    assert "0 old import files" in page
    assert not Job.objects.filter(kind=cleanup.KIND).exists()
    answer = client.post(CLEAN_UP, {"reason": "The disk is full."})
    job = Job.objects.get(kind=cleanup.KIND)
    assert (answer.status_code, answer["Location"]) == (302, f"/admin/jobs/job/{job.pk}/change/")
    assert AuditEntry.objects.latest("id").reason == "The disk is full."


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ({"everything": "on"}, {"all": True}), ({"organization": "oslo"}, {"organizationId": "oslo"}),
        ({"flag": "checkout"}, {"featureFlag": "checkout"}),
    ],
)  # fmt: skip
def test_an_operator_lets_processes_read_again(cast: Cast, choice: Any, told: dict[str, Any]) -> None:
    service.create(key="checkout", values={}, by="test")
    answer = signed_in("operator").post(INVALIDATE, choice | {"reason": "A restore"}, follow=True)
    assert "All processes read again what you have chosen." in shown(answer)
    entry = AuditEntry.objects.latest("id")
    expected = {"organizationId": cast.oslo.pk} if "organizationId" in told else told
    assert (entry.action, entry.reason, entry.details["done"]) == ("cache.invalidate", "A restore", [expected])


def test_wrong_choices_are_refused_in_words(cast: Cast) -> None:
    client, entries = signed_in("operator"), AuditEntry.objects.count()
    assert "Choose everything, an organization or a flag." in shown(client.post(INVALIDATE, {}))
    assert "No organization that you may see" in shown(client.post(INVALIDATE, {"organization": "nowhere"}))
    assert AuditEntry.objects.count() == entries
    assert "nowhere: There is no such flag." in shown(client.post(INVALIDATE, {"flag": "nowhere"}, follow=True))


def test_a_bound_person_lets_only_the_own_subtree_be_read_again(cast: Cast) -> None:
    client = signed_in("operator", bound_to=cast.north)
    assert 'name="everything"' not in shown(client.get(INVALIDATE))
    assert "No organization that you may see" in shown(client.post(INVALIDATE, {"organization": "rome"}))
    assert "Choose" in shown(client.post(INVALIDATE, {"everything": "on", "flag": "checkout"}))
    assert client.post(INVALIDATE, {"organization": "oslo"}).status_code == 302
