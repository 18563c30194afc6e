"""Attributes of organizations in the columns of an imported file, and the export that writes such a file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import Cast, _key
from orgs.access.models import Role
from orgs.attributes import attribute_operations
from orgs.attributes.attribute_operations import own_attributes
from orgs.attributes.models import OrganizationAttribute
from orgs.audit.models import AuditEntry
from orgs.errors import ImportRefused
from orgs.importing import importer, staging
from orgs.importing.importer import ImportReport
from orgs.importing.organization_export import export_organizations
from orgs.tests.api import Api, kind_of
from orgs.tests.commands import run
from orgs.tests.people import SUPERUSER, signed_in
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db


def imported(*lines: str, **options: Any) -> ImportReport:
    return importer.import_organizations(io.BytesIO("\n".join(lines).encode()), **options)


def own(key: str) -> dict[str, Any]:
    return own_attributes(Organization.objects.get(key=key).pk)


def exported() -> str:
    file = io.StringIO()
    export_organizations(file)
    return file.getvalue()


HEADER = "key,name,parent_key,attribute:plan,attribute:seats:number,attribute:beta:boolean,attribute:regions:list"


def test_a_file_gives_organizations_attributes_that_it_creates_and_that_there_are(cast: Cast) -> None:
    report = imported(
        HEADER,
        'oslo,Oslo,north,pro,250,TRUE,"[""eu"", ""us""]"',
        r"frogner,Frogner,oslo,\N,0.5,,[]",
        r"bergen,Bergen,north,\\N,,false,",
    )
    assert own("oslo") == {"plan": "pro", "seats": 250, "beta": True, "regions": ["eu", "us"]}
    assert own("frogner") == {"plan": None, "seats": 0.5, "regions": []}
    assert own("bergen") == {"plan": "\\N", "beta": False}
    assert (report.created, report.renamed, report.moved, report.attributes, report.unchanged) == (1, 0, 0, 3, 0)
    again = imported(HEADER, 'oslo,Oslo,north,pro,250.0,true,"[""eu"",""us""]"')
    assert (again.attributes, again.unchanged, again.changes) == (0, 1, ())


def test_texts_keep_the_spaces_around_them_by_an_export(cast: Cast) -> None:
    texts = [" pro", "pro ", "N ", " ", "\\N", " \\N ", "\\ ", "\tpro\n"]
    values: dict[str, Any] = {f"text{number}": text for number, text in enumerate(texts)}
    attribute_operations.change(organization_id=cast.oslo.pk, values=values)
    file = exported()
    attribute_operations.change(organization_id=cast.oslo.pk, values=dict.fromkeys(values, "x"))
    importer.import_organizations(io.BytesIO(file.encode()))
    assert own("oslo") == values


def test_an_empty_cell_takes_the_attribute_away_and_a_column_that_is_missing_leaves_it(cast: Cast) -> None:
    attribute_operations.change(organization_id=cast.oslo.pk, values={"plan": "pro", "tier": "gold"})
    report = imported("key,name,parent_key,attribute:plan", "oslo,Oslo,north,")
    assert own("oslo") == {"tier": "gold"}
    assert [(change.change, change.key) for change in report.changes] == [("attributes", "oslo")]
    assert imported("key,name,parent_key", "oslo,Oslo,north").unchanged == 1
    assert own("oslo") == {"tier": "gold"}


def test_each_organization_gets_an_audit_entry_with_before_and_after(cast: Cast) -> None:
    attribute_operations.change(organization_id=cast.oslo.pk, values={"plan": "free", "seats": 3})
    imported(HEADER, "oslo,Oslo,north,pro,,,", "frogner,Frogner,oslo,pro,,,", "bergen,Bergen,north,,,,")
    entries = AuditEntry.objects.filter(action="organization.attributes").order_by("id")
    assert {entry.subject: entry.details for entry in entries if entry.details["after"] == {"plan": "pro"}} == {
        "organization:oslo": {"before": {"plan": "free", "seats": 3}, "after": {"plan": "pro"}},
        "organization:frogner": {"before": {}, "after": {"plan": "pro"}},
    }
    assert AuditEntry.objects.latest("id").details["attributes"] == 2


def test_a_dry_run_says_what_would_change_and_changes_nothing(cast: Cast) -> None:
    report = imported(HEADER, "oslo,Oslo,north,pro,,,", dry_run=True)
    assert (report.attributes, report.unchanged, OrganizationAttribute.objects.count()) == (1, 0, 0)


def test_other_values_are_another_digest_so_that_a_checked_file_is_not_imported_over_them(cast: Cast) -> None:
    digests: list[str] = []
    for plan in ("pro", "pro", "free"):
        imported(
            HEADER, f"oslo,Oslo,north,{plan},,,", dry_run=True,
            on_changes=lambda: digests.append(staging.changes_digest()),
        )  # fmt: skip
    assert digests[0] == digests[1] != digests[2]


def test_an_import_that_others_have_overtaken_compares_again(cast: Cast) -> None:
    seen: list[int] = []

    def overtake() -> None:
        if not seen:
            attribute_operations.change(organization_id=cast.oslo.pk, values={"plan": "theirs"})
        seen.append(1)

    imported(HEADER, "oslo,Oslo,north,ours,,,", on_changes=overtake)
    assert (len(seen), own("oslo")["plan"]) == (2, "ours")


@pytest.mark.parametrize(
    ("header", "cells", "words"),
    [
        ("attribute:1a", "x", "is no name of an attribute"),
        ("attribute:a:date", "x", "has an unknown type. The types are text, number, boolean, list."),
        ("attribute:a,attribute:a:text", "x,y", "The attribute a has two columns with the type text."),
        (",".join(f"attribute:a{number}" for number in range(51)), ",".join("x" * 51), "more than 50 attributes"),
        ("attribute:a:number", "many", "The attribute a is 'many', and no number"),
        ("attribute:a:number", "true", "The attribute a is 'true', and no number"),
        ("attribute:a:number", "1e400", "is no number from"),
        ("attribute:a:number", "1" * 400, "is no number from"),
        ("attribute:a:number", "NaN", "is no number from"),
        ("attribute:a:boolean", "yes", "The attribute a is 'yes', and not true or false."),
        ("attribute:a:list", "eu", "The attribute a is 'eu', and no list of texts in JSON."),
        ("attribute:a:list", "[1]", "something else than texts"),
        ("attribute:a", "x" * 1001, "does not have 1 to 1,000 characters"),
        ("attribute:a,attribute:a:number", "x,1", "The attribute a has two values."),
    ],
)
def test_what_no_attribute_can_be_is_refused_with_its_line(cast: Cast, header: str, cells: str, words: str) -> None:
    with pytest.raises(ImportRefused) as refused:
        imported(f"key,name,parent_key,{header}", f"oslo,Oslo,north,{cells}")
    ((line, problem), *_) = refused.value.lines
    assert words in problem
    assert line in (1, 2)
    assert not OrganizationAttribute.objects.exists()


def test_an_organization_gets_no_more_than_fifty_of_its_own(cast: Cast) -> None:
    attribute_operations.change(organization_id=cast.oslo.pk, values={f"a{number}": 1 for number in range(50)})
    with pytest.raises(ImportRefused) as refused:
        imported("key,name,parent_key,attribute:more", "oslo,Oslo,north,x")
    assert refused.value.lines[0].line == 2
    imported("key,name,parent_key,attribute:more,attribute:a0:number", "oslo,Oslo,north,x,")
    assert len(own("oslo")) == 50


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8).filter(
    lambda text: text == text.strip()
)
VALUES = st.one_of(
    TEXTS, st.integers(-(2**53) + 1, 2**53 - 1), st.booleans(), st.lists(TEXTS, max_size=2), st.none(),
    st.sampled_from(["\\N", "\\", "\\\\x", "=1", "true", "7", "[]", 0.25, -3.5]),
)  # fmt: skip


@given(st.lists(st.dictionaries(st.sampled_from(["plan", "seats", "x-1"]), VALUES), min_size=3, max_size=3))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_an_import_of_an_export_gives_the_same_export(cast: Cast, given_: list[dict[str, Any]]) -> None:
    for organization, values in zip((cast.acme, cast.oslo, cast.rome), given_, strict=True):
        attribute_operations.change(organization_id=organization.pk, values=values, replace=True)
    file = exported()
    unchanged = importer.import_organizations(io.BytesIO(file.encode()))
    assert unchanged.unchanged == unchanged.rows
    OrganizationAttribute.objects.all().delete()
    Organization.objects.filter(key="rome").delete()
    importer.import_organizations(io.BytesIO(file.encode()))
    assert sorted(exported().splitlines()) == sorted(file.splitlines())
    cast.rome.pk = Organization.objects.get(key="rome").pk


def test_commands_write_a_file_and_read_it(cast: Cast, tmp_path: Path) -> None:
    attribute_operations.change(organization_id=cast.north.pk, values={"plan": "pro", "seats": 3})
    attribute_operations.change(organization_id=cast.rome.pk, values={"other": 1})
    file = tmp_path / "north.csv"
    written = run("export_organizations", str(file), "--below", "north", "--json").document
    assert written["organizations"] == 3
    assert file.read_text().splitlines()[:2] == [
        "key,name,parent_key,attribute:plan,attribute:seats:number", "north,North,,pro,3",
    ]  # fmt: skip
    attribute_operations.change(organization_id=cast.north.pk, values={"plan": "free"})
    shown = run("import_organizations", str(file), "--below", "north", "--dry-run").out
    assert "north (North): gets other attributes" in shown
    assert "The attributes of 1 organization would be changed." in shown
    run("import_organizations", str(file), "--below", "north")
    assert own("north") == {"plan": "pro", "seats": 3}
    assert run("export_organizations", str(tmp_path / "no" / "file.csv")).status == 1


def test_a_caller_gets_the_file_of_the_own_subtree_by_http_and_on_the_page(cast: Cast) -> None:
    attribute_operations.change(organization_id=cast.acme.pk, values={"secret": "x"})
    attribute_operations.change(organization_id=cast.oslo.pk, values={"plan": "pro"})
    bound = Api(_key("north", Role.READER, cast.north))
    answer = bound.get("/v1/organizations/csv")
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/csv; charset=utf-8")
    lines = answer.getvalue().decode().splitlines()
    assert lines == [
        "key,name,parent_key,attribute:plan",
        "north,North,,",
        "oslo,Oslo,north,pro",
        "bergen,Bergen,north,",
    ]
    assert bound.get("/v1/organizations/csv", below="oslo").getvalue().decode().splitlines()[1] == "oslo,Oslo,,pro"
    assert kind_of(bound.get("/v1/organizations/csv", below="rome")) == "organization-not-found"
    page = signed_in(SUPERUSER).get(reverse("admin:orgs_organization_csv"))
    assert page.getvalue().decode() == exported()
