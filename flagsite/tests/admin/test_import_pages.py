"""Importing organizations in the admin site."""

from __future__ import annotations

import csv
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from conftest import Cast
from orgs.audit.models import AuditEntry
from orgs.tests.people import shown, signed_in
from orgs.tests.replacing import replaced
from orgs.tests.trees import paths
from orgs.tree import tree_operations
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db
TREE = "/admin/orgs/organization/"


def upload(client: Client, address: str, text: str, **more: str) -> Any:
    return client.post(TREE + address, {"file": SimpleUploadedFile("tree.csv", text.encode()), **more})


def test_an_import_is_checked_then_carried_out(cast: Cast) -> None:
    client = signed_in("admin")
    text = "key,name,parent_key\nmilan,Milan,south\nrome,Roma,south\noslo,Oslo,south\nacme,Acme,\n"
    before = paths()
    page = shown(upload(client, "import/check/", text))
    assert "1 organization created, 1 renamed, 1 moved, 1 unchanged." in page
    for line in ("<td>2</td><td>create</td><td>milan</td>", "<td>3</td><td>rename</td>", "<td>4</td><td>move</td>"):
        assert line in page
    assert paths() == before
    fingerprint = page.partition('name="shown" value="')[2].partition('"')[0]
    assert upload(client, "import/", text, shown=fingerprint).status_code == 302
    assert {"acme/south/milan", "acme/south/oslo"} <= set(paths())
    assert AuditEntry.objects.filter(action="organizations.import").count() == 1


def test_an_import_that_is_not_what_was_shown_is_shown_again(cast: Cast) -> None:
    client = signed_in("admin")
    text = "key,name,parent_key\nmilan,Milan,south\n"
    fingerprint = shown(upload(client, "import/check/", text)).partition('name="shown" value="')[2].partition('"')[0]
    for other in (text + "turin,Turin,south\n", replaced(text, "Milan", "Milano")):
        assert "has changed since this page was shown" in shown(upload(client, "import/", other, shown=fingerprint))
    tree_operations.create(name="Milan", key="milan", parent_id=cast.south.pk)
    assert "has changed since this page was shown" in shown(upload(client, "import/", text, shown=fingerprint))
    assert "acme/south/turin" not in paths()


def downloaded(answer: Any) -> list[list[str]]:
    """The rows of a report that was downloaded."""
    assert answer["Content-Disposition"] == 'attachment; filename="import-report.csv"'
    return [*csv.reader(answer.content.decode("utf-8-sig").splitlines())]


def test_the_report_says_what_it_leaves_out_and_has_it_all_in_a_file(cast: Cast) -> None:
    client = signed_in("admin")
    rows = [f"store-{number},Store {number},rome" for number in range(130)]
    text = "\n".join(["key,name,parent_key", "rome,Rome,south", *rows, ""])
    page = shown(upload(client, "import/check/", text))
    assert "The first 100 of 130 lines that change something." in page
    assert "store-99<" in page
    assert "store-100<" not in page
    found = downloaded(upload(client, "import/report/", text))
    header = ["line", "change", "key", "name", "former_name", "parent_key", "former_parent_key", "problem"]
    assert found[:2] == [header, ["3", "create", "store-0", "Store 0", "", "rome", "", ""]]
    assert (len(found), found[-1]) == (131, ["132", "create", "store-129", "Store 129", "", "rome", "", ""])
    assert not Organization.objects.filter(key="store-0").exists()


def test_all_faults_are_in_the_file_too(cast: Cast) -> None:
    client = signed_in("admin")
    rows = [f"store-{number},,rome" for number in range(1_001)]
    text = "\n".join(["key,name,parent_key", *rows, ""])
    page = shown(upload(client, "import/check/", text))
    assert "1,001 problems" in page
    assert "The first 1,000 of 1,001." in page
    found = downloaded(upload(client, "import/report/", text))
    assert (len(found), found[-1]) == (1_002, ["1002", *[""] * 6, "The name is empty."])


def test_a_report_of_nothing_is_asked_for_again(cast: Cast) -> None:
    client = signed_in("admin")
    page = shown(client.post(f"{TREE}import/report/", {}))
    assert "Choose a file first" in page
    assert '<h2 class="fs-title fs-first">Import organizations</h2>' in page
    for who in (signed_in("operator", name="olga"), signed_in("admin", name="bea", bound_to=cast.acme)):
        assert upload(who, "import/report/", "key,name,parent_key\n").status_code == 403


def test_every_line_at_fault_is_shown(cast: Cast) -> None:
    client = signed_in("admin")
    text = "key,name,parent_key\nmilan,,south\nturin,<Turin>,nowhere\n"
    for address in ("import/check/", "import/"):
        page = shown(upload(client, address, text))
        assert "2 problems" in page
        assert "<td>2</td>" in page
        assert "The parent &#x27;nowhere&#x27; does not exist" in page
    assert "Choose a file first" in shown(client.post(f"{TREE}import/check/", {}))
    assert "The file cannot be imported" not in shown(client.get(f"{TREE}import/"))
