"""Importing organizations in the admin site."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from conftest import Cast
from orgs import tree
from orgs.models import HistoryEntry
from orgs.tests.people import shown, signed_in
from orgs.tests.trees import paths

pytestmark = pytest.mark.django_db
TREE = "/admin/orgs/organization/"


def upload(client: Client, address: str, text: str, **more: str) -> Any:
    return client.post(TREE + address, {"file": SimpleUploadedFile("tree.csv", text.encode()), **more})


def test_an_import_is_checked_then_carried_out(cast: Cast) -> None:
    client = signed_in("admin")
    text = "key,name,parent_key\nmilan,Milan,south\nrome,Roma,south\noslo,Oslo,south\nacme,Acme,\n"
    before = paths()
    page = shown(upload(client, "import/check/", text))
    assert "1 created, 1 renamed, 1 moved, 1 unchanged." in page
    for line in ("<td>2</td><td>create</td><td>milan</td>", "<td>3</td><td>rename</td>", "<td>4</td><td>move</td>"):
        assert line in page
    assert paths() == before
    fingerprint = page.partition('name="shown" value="')[2].partition('"')[0]
    assert upload(client, "import/", text, shown=fingerprint).status_code == 302
    assert {"acme/south/milan", "acme/south/oslo"} <= set(paths())
    assert HistoryEntry.objects.filter(action="organizations.import").count() == 1


def test_an_import_that_is_not_what_was_shown_is_shown_again(cast: Cast) -> None:
    client = signed_in("admin")
    text = "key,name,parent_key\nmilan,Milan,south\n"
    fingerprint = shown(upload(client, "import/check/", text)).partition('name="shown" value="')[2].partition('"')[0]
    for other in (text + "turin,Turin,south\n", text.replace("Milan", "Milano")):
        assert "is not what was shown" in shown(upload(client, "import/", other, shown=fingerprint))
    tree.create(name="Milan", key="milan", parent_id=cast.south.pk)
    assert "is not what was shown" in shown(upload(client, "import/", text, shown=fingerprint))
    assert "acme/south/turin" not in paths()


def test_every_line_at_fault_is_shown(cast: Cast) -> None:
    client = signed_in("admin")
    text = "key,name,parent_key\nmilan,,south\nturin,<Turin>,nowhere\n"
    for address in ("import/check/", "import/"):
        page = shown(upload(client, address, text))
        assert "2 problems" in page
        assert "<td>2</td>" in page
        assert "There is no organization &#x27;nowhere&#x27;" in page
    assert "Choose a file first" in shown(client.post(f"{TREE}import/check/", {}))
    assert "Nothing can be imported" not in shown(client.get(f"{TREE}import/"))
