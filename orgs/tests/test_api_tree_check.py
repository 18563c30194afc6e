"""The check of the tree and its repair over HTTP."""

from __future__ import annotations

from conftest import Cast, _key
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of
from orgs.tests.test_check_tree import CAST, damage
from orgs.tests.trees import paths
from orgs.tree import integrity


def test_a_sound_tree_is_reported_and_its_repair_changes_nothing(cast: Cast, admin_key: str) -> None:
    report = Api(admin_key).get("/v1/tree").json()
    assert report == {
        "sound": True, "organizations": 8, "counts": {}, "problems": [], "repairedOrganizations": None,
        "countsAfterRepair": None,
    }  # fmt: skip
    entries = AuditEntry.objects.count()
    assert Api(admin_key).post("/v1/tree/repair").json() == report
    assert AuditEntry.objects.count() == entries


def test_a_damaged_tree_is_reported_and_repaired_with_a_reason(cast: Cast, admin_key: str) -> None:
    damage("rome", level=1)
    found = Api(admin_key).get("/v1/tree").json()
    problem = {"kind": "level", "organizationId": cast.rome.pk, "key": "rome", "words": "has level 1, not 2"}
    assert (found["sound"], found["counts"], found["problems"]) == (False, {"level": 1}, [problem])
    repaired = Api(admin_key).post("/v1/tree/repair", {"reason": "A restore by hand"}).json()
    assert (repaired["sound"], repaired["counts"]) == (True, {"level": 1})
    assert (repaired["repairedOrganizations"], repaired["countsAfterRepair"]) == (1, {})
    assert paths() == CAST
    entry = AuditEntry.objects.latest("id")
    assert (entry.action, entry.reason) == ("tree.repair", "A restore by hand")


def test_bound_keys_neither_check_nor_repair_the_tree(cast: Cast) -> None:
    damage("rome", level=1)
    bound = Api(_key("bound", Role.ADMIN, cast.acme))
    assert kind_of(bound.get("/v1/tree")) == "outside-of-your-subtree"
    assert kind_of(bound.post("/v1/tree/repair")) == "outside-of-your-subtree"
    assert not integrity.find_problems().sound
