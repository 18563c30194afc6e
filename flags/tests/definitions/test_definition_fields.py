"""Every definition field has one spec, and the API, the admin site and the documents go by it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import Cast, _key
from flags.definitions import service
from flags.definitions.fields import FIELDS, BoundAccess
from flags.definitions.models import Flag
from flags.states.set_flag import set_flag
from orgs.access.models import Role
from orgs.tests.api import Api
from orgs.tests.people import shown, signed_in

DOCS = Path(__file__).resolve().parents[3] / "docs"
NOT_CHANGED_BY_PEOPLE = {
    "id", "key", "purging", "variants_made", "version", "created_at", "created_by", "updated_at", "updated_by",
    "prerequisite_wants",
}  # fmt: skip


def schema(name: str) -> Any:
    return yaml.safe_load((DOCS / "openapi.yaml").read_text())["components"]["schemas"][name]["properties"]


def test_every_field_of_a_flag_that_people_may_change_has_a_spec() -> None:
    of_the_model = {field.name for field in (*Flag._meta.fields, *Flag._meta.many_to_many)}
    assert set(FIELDS) == of_the_model - NOT_CHANGED_BY_PEOPLE
    assert len({spec.wire_name for spec in FIELDS.values()}) == len(FIELDS)


def test_every_wire_name_is_in_the_table_of_the_documentation() -> None:
    section = (DOCS / "definitions.md").read_text().partition("## Fields")[2].partition("\n## ")[0]
    first_cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    described = {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)}
    assert {spec.wire_name for spec in FIELDS.values()} <= described


@pytest.mark.parametrize("name", ["Definition", "NewDefinition", "PatchedDefinitionChanges", "WholeDefinition"])
def test_every_wire_name_is_in_the_openapi_document(name: str) -> None:
    assert {spec.wire_name for spec in FIELDS.values()} <= set(schema(name))


def test_the_openapi_document_names_the_fields_that_a_schedule_may_set() -> None:
    words = schema("NewSchedule")["apply"]["description"].partition("any of ")[2].partition(".")[0]
    assert set(words.split(", ")) == {spec.wire_name for spec in FIELDS.values() if spec.is_schedulable}


@pytest.mark.parametrize("access", BoundAccess)
@pytest.mark.django_db
def test_a_bound_caller_gets_of_a_field_what_its_spec_says(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, access: BoundAccess
) -> None:
    flag = service.create(key="f", values={"salt": "secret-salt"}, by="user:olga")
    set_flag(organization_id=cast.acme.pk, flag_key="f", enabled=True)
    monkeypatch.setitem(FIELDS, "salt", replace(FIELDS["salt"], bound_access=access))
    everyone, bound = (Api(_key(name, Role.READER, top)) for name, top in (("e", None), ("b", cast.acme)))
    answers = {"value": {"salt": "secret-salt"}, "null": {"salt": None}, "nothing": {}}
    for read in (lambda api: api.get("/v1/feature-flags/f").json(),
                 lambda api: api.get("/v1/feature-flags").json()["results"][0]):  # fmt: skip
        assert read(everyone)["salt"] == "secret-salt"
        assert {name: value for name, value in read(bound).items() if name == "salt"} == answers[access]
        assert read(bound).keys() | {"salt"} == read(everyone).keys()
    page = f"/admin/flags/flag/{flag.pk}/change/?tab=definition"
    assert "secret-salt" in shown(signed_in("viewer", name="una").get(page))
    person = signed_in("viewer", bound_to=cast.acme, name="bo")
    assert ("secret-salt" in shown(person.get(page))) == (access is BoundAccess.VALUE)
