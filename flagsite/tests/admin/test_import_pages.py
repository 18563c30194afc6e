"""Importing organizations in the admin site: check a file, look at what it would change, import it."""

from __future__ import annotations

import csv
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from conftest import Cast
from jobs.tests.imports.uploading import file_of, imported, work
from orgs.audit.models import AuditEntry
from orgs.tests.people import shown, signed_in
from orgs.tests.trees import get, paths
from orgs.tests.workbooks import workbook
from orgs.tree import tree_operations

pytestmark = pytest.mark.django_db
IMPORTS = "/admin/jobs/organizationimport/"
VALUES = {"delimiter": "comma", "encoding": "utf-8"}


def upload(client: Client, content: bytes, **values: str) -> Any:
    """Send the form."""
    return client.post(f"{IMPORTS}add/", {"file": SimpleUploadedFile("tree.csv", content), **VALUES, **values})


def checked(client: Client, content: bytes, **values: str) -> tuple[str, str]:
    """Check a file, and let a worker do it: the address of its page, and the page."""
    answer = upload(client, content, **values)
    assert answer.status_code == 302, shown(answer)
    address = answer["Location"].removesuffix("change/")
    assert "Waiting for a worker" in shown(client.get(f"{address}change/"))
    work()
    return address, shown(client.get(f"{address}live/"))


def test_a_file_is_checked_then_imported(cast: Cast) -> None:
    client = signed_in("admin")
    before = paths()
    content = file_of("milan,Milan,south", "rome,Roma,south", "oslo,Oslo,south", "acme,Acme,")
    address, page = checked(client, content)
    assert "1 organization would be created, 1 renamed, 1 moved, 1 unchanged." in page
    for cells in ("Rome → Roma", "north → south", ">create<"):
        assert cells in page
    assert paths() == before
    answer = client.post(f"{address}apply/", {"reason": "reviewed"})
    work()
    page = shown(client.get(answer["Location"]))
    assert "1 organization created, 1 renamed, 1 moved, 1 unchanged." in page
    assert {"acme/south/milan", "acme/south/oslo"} <= paths()
    entry = AuditEntry.objects.get(action="organization.move")
    assert (entry.actor, entry.reason, entry.via) == ("user:pat", "reviewed", "admin")


def test_an_import_that_would_do_something_else_than_was_shown_changes_nothing(cast: Cast) -> None:
    client = signed_in("admin")
    address, _ = checked(client, file_of("milan,Milan,south"))
    tree_operations.create(name="Milano", key="milan", parent_id=cast.south.pk)
    answer = client.post(f"{address}apply/", {})
    work()
    assert "The tree has changed since the dry run" in shown(client.get(answer["Location"]))
    assert get("milan").name == "Milano"


def test_every_line_with_a_problem_is_shown_with_the_way_out(cast: Cast) -> None:
    client = signed_in("admin")
    _, page = checked(client, file_of("milan,,south", "turin,<Turin>,nowhere", "rome,Rome,rival"))
    assert "2 problems" in page
    assert "The parent &#x27;nowhere&#x27; does not exist" in page
    assert "apply/" not in page
    _, page = checked(client, file_of("rome,Rome,rival"))
    assert "&#x27;rome&#x27; would leave the tree of &#x27;acme&#x27; and move to the tree of &#x27;rival&#x27;" in page
    assert "set the option move_between_trees" in page
    _, page = checked(client, file_of("rome,Rome,rival"), move_between_trees="on")
    assert "1 moved" in page


def test_all_options_reach_the_import(cast: Cast) -> None:
    client = signed_in("admin")
    content = "code;title;boss\nrome;Ærø;\n".encode("cp1252")
    columns = "key=code,name=title,parent_key=boss"
    _, page = checked(
        client, content, columns=columns, delimiter="semicolon", encoding="windows-1252", key_prefix="x-", below="oslo"
    )
    assert "x-rome" in page
    assert "Ærø" in page
    _, page = checked(client, workbook(["key", "name", "parent_key"], ["x", "X", "oslo"]))
    assert "1 organization would be created" in page


def test_the_report_says_what_it_leaves_out_and_has_it_all_in_a_file(cast: Cast) -> None:
    client = signed_in("admin")
    stores = [f"store-{number},Store {number},rome" for number in range(230)]
    address, page = checked(client, file_of(*stores, "rome,=Roma,south"))
    assert "The first 200 of 231. Renames and moves come first." in page
    assert page.index("Roma") < page.index("store-0<")
    answer = client.get(f"{address}report/")
    rows = [*csv.reader(b"".join(answer.streaming_content).decode("utf-8-sig").splitlines())]
    assert (len(rows), rows[-1]) == (232, ["232", "rename", "rome", "'=Roma", "Rome", "south", "", ""])


def test_a_form_with_a_wrong_value_is_shown_again(cast: Cast, settings: Any) -> None:
    client = signed_in("admin")
    assert "This field is required" in shown(client.post(f"{IMPORTS}add/", VALUES))
    for values in ({"columns": "code"}, {"below": "nobody"}, {"key_prefix": " x"}, {"encoding": "klingon"}):
        assert 'class="errorlist' in shown(upload(client, file_of("a,A,"), **values))
    settings.MAX_IMPORT_BYTES = 1024
    assert "larger than" in shown(upload(client, b"x" * 1025))


def test_who_is_bound_imports_into_their_own_subtree_only(cast: Cast) -> None:
    client = signed_in("admin", bound_to=cast.acme)
    _, page = checked(client, file_of("rival_store,Mine,acme", "x,X,"))
    assert "2 problems" in page
    assert "You have no organization" in shown(upload(client, file_of("a,A,"), below="rival"))
    address, page = checked(client, file_of("y,Y,oslo"))
    client.post(f"{address}apply/")
    work()
    assert "acme/north/oslo/y" in paths()


def test_only_administrators_import_and_nobody_sees_the_imports_of_others(cast: Cast, admin_key: str) -> None:
    job_id = imported(admin_key, file_of("a,A,"), "dryRun=true")["jobId"]
    viewer, bound = signed_in("viewer"), signed_in("admin", bound_to=cast.acme, name="bea")
    assert viewer.get(f"{IMPORTS}add/").status_code == upload(viewer, file_of("a,A,")).status_code == 403
    assert viewer.post(f"{IMPORTS}{job_id}/apply/").status_code == 403
    assert "Import</button>" not in shown(viewer.get(f"{IMPORTS}{job_id}/change/"))
    for path in ("change/", "live/", "report/"):
        assert bound.get(f"{IMPORTS}{job_id}/{path}").status_code == 404
    assert bound.post(f"{IMPORTS}{job_id}/apply/").status_code == 404
    assert f"{IMPORTS}{job_id}/" not in shown(bound.get(IMPORTS))
    assert f"{IMPORTS}{job_id}/" in shown(viewer.get(IMPORTS))


def test_the_list_takes_as_many_queries_for_many_imports_as_for_few(cast: Cast, admin_key: str) -> None:
    client = signed_in("admin")

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            shown(client.get(IMPORTS))
        return len(captured)

    imported(admin_key, file_of("a,A,"))
    few = queries()
    for number in range(5):
        imported(admin_key, file_of(f"a{number},A,"))
    assert queries() == few


def test_the_page_of_the_job_leads_to_the_import(cast: Cast, admin_key: str) -> None:
    job_id = imported(admin_key, file_of("a,A,oslo"))["jobId"]
    page = shown(signed_in("admin").get(f"/admin/jobs/job/{job_id}/change/"))
    assert f"{IMPORTS}{job_id}/change/" in page
    assert "import of organizations" in page


def test_the_former_address_leads_to_the_form(cast: Cast) -> None:
    assert signed_in("admin").get("/admin/orgs/organization/import/")["Location"] == f"{IMPORTS}add/"
