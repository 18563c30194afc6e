"""A file is written if its result is valid, whatever stands between; else the message says which flag keeps it back."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import _key
from flags.definitions import service
from flags.definitions.models import Flag
from flags.evaluation.wants import keys_of
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of

pytestmark = pytest.mark.django_db
FILE = "/v1/flag-file"


def metal(*keys: str) -> dict[str, Any]:
    variants = [{"key": key, "value": key} for key in keys]
    return {"name": "aa", "type": "string", "variants": variants, "defaultVariant": "iron", "offVariant": "iron"}


def needing(*wants: dict[str, Any]) -> dict[str, Any]:
    return {"name": "bb", "prerequisites": list(wants)}


def wanting(variant: str) -> dict[str, Any]:
    return {"flag": "aa", "variant": variant}


@pytest.fixture
def api(db: None) -> Api:
    api = Api(_key("editor", Role.EDITOR))
    assert api.post(FILE, {"flags": [metal("iron", "gold"), needing(wanting("gold"))]}).status_code == 200
    return api


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize("needed", [[wanting("silver")], [wanting("iron")], []])
def test_a_variant_that_a_prerequisite_wants_may_be_renamed_or_removed_with_it(
    api: Api, method: str, needed: list[Any]
) -> None:
    content = {"flags": [metal("iron", "silver"), needing(*needed)], "reason": "other metals"}
    plan = api.post(f"{FILE}/plan?mode={'mirror' if method == 'PUT' else 'merge'}", content)
    written = api.send(method, FILE, content)
    assert (written.status_code, written.json()) == (200, plan.json())
    assert [each["key"] for each in Flag.objects.get(key="aa").variants] == ["iron", "silver"]
    assert keys_of(api.get("/v1/feature-flags/bb").json()["prerequisites"]) == [each["flag"] for each in needed]
    assert AuditEntry.objects.filter(reason="other metals").count() == 2, "one entry for each flag"


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize("others", [[], [needing(wanting("gold"))], [needing(wanting("gold")) | {"owner": "me"}]])
def test_a_variant_that_a_flag_wants_after_the_file_too_is_not_removed(
    api: Api, method: str, others: list[Any]
) -> None:
    refused = api.send(method, FILE, {"flags": [metal("iron", "silver"), *others]})
    assert (kind_of(refused), refused.json()["flag"]) == ("variant-in-use", "aa")
    assert refused.json()["places"] == [{"place": "prerequisite", "variant": "gold", "neededBy": "bb"}]
    assert [each["key"] for each in Flag.objects.get(key="aa").variants] == ["iron", "gold"]


def test_a_mirrored_flag_that_only_says_that_it_is_archived_gets_the_defaults(api: Api) -> None:
    service.create(key="k1", values={"description": "Old.", "owner": "shop"}, by="user:ada")
    service.create(key="k2", values={"description": "Old."}, by="user:ada")
    assert api.put(FILE, {"flags": [{"name": "k1", "archived": True}]}).status_code == 200
    k1, k2 = Flag.objects.get(key="k1"), Flag.objects.get(key="k2")
    assert (k1.archived, k1.description, k1.owner) == (True, "", "")
    assert (k2.archived, k2.description) == (True, "Old."), "a flag that the file does not have keeps the rest"


@pytest.mark.parametrize(
    ("address", "way_out"),
    [("POST", "Change this flag in the file, or take it out of the file."), ("PUT", "Change this flag in the file")],
)
def test_the_message_about_a_flag_that_cannot_be_written_says_the_way_out(api: Api, address: str, way_out: str) -> None:
    refused = api.send(address, FILE, {"flags": [{"name": "ok"}, {"name": "x", "prerequisites": ["nothing"]}]})
    assert refused.json()["flag"] == "x"
    assert f"The flag 'x': There is no flag 'nothing'. Nothing was written. {way_out}" in refused.json()["detail"]


def test_the_message_about_a_flag_of_another_product_that_cannot_be_written_says_the_way_out(api: Api) -> None:
    strategy = {"name": "default"}
    needy = {"name": "x", "enabled": True, "strategies": [strategy], "dependencies": [{"feature": "nothing"}]}
    good = {"name": "ok", "enabled": True, "strategies": [strategy]}
    refused = api.post("/v1/flag-imports", {"source": "unleash", "file": {"features": [good, needy]}})
    assert refused.json()["flag"] == "x"
    assert "take it out of the file." in refused.json()["detail"]
    assert not Flag.objects.filter(key="ok").exists()
