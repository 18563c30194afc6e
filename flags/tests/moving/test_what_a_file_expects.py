"""Who writes a file can demand that nobody has changed a definition since: by an ETag, a revision or a page's plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from conftest import _key
from flags.definitions import service
from flags.definitions.models import Flag
from flags.moving import flag_file, writing
from flags.moving.serializers import entries_of
from flags.moving.writing import Mode
from orgs.access.models import Role
from orgs.tests.api import Api, kind_of
from orgs.tests.commands import run
from orgs.tests.people import signed_in

pytestmark = pytest.mark.django_db
FILE, IMPORTS = "/v1/flag-file", "/v1/flag-imports"
PAGE = "/admin/flags/flag/import/"
NEW = {"flags": [{"name": "new"}]}
OF_FLAGD = {
    "source": "flagd",
    "file": {"flags": {"new": {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"}}},
}


@pytest.fixture
def api(db: None) -> Api:
    service.create(key="a", values={"owner": "shop"}, by="user:ada")
    service.create(key="old", values={"owner": "shop", "archived": True}, by="user:ada")
    return Api(_key("editor", Role.EDITOR))


def change(key: str = "a") -> None:
    service.update(key=key, values={"owner": "me"}, by="user:bob")


@pytest.mark.parametrize("archived", ["true", "false"])
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_change_of_an_archived_flag_is_not_overwritten(api: Api, archived: str, method: str) -> None:
    read = api.get(FILE, archived=archived)
    change("old")
    content = {"flags": [{"name": "a"}, {"name": "old", "owner": "x", "archived": True}]}
    refused = api.send(method, FILE, content, If_Match=read["ETag"])
    assert (refused.status_code, kind_of(refused)) == (412, "flag-file-changed-meanwhile")
    assert Flag.objects.get(key="old").owner == "me"


def test_both_forms_of_the_file_have_the_same_etag(api: Api) -> None:
    short, whole = api.get(FILE), api.get(FILE, archived="true")
    assert short["ETag"] == whole["ETag"] == f'"{flag_file.revision()}"'
    assert len(short.json()["flags"]) < len(whole.json()["flags"])


@pytest.mark.parametrize(
    ("address", "content"), [(FILE, NEW), (f"{FILE}/plan", NEW), (IMPORTS, OF_FLAGD), (f"{IMPORTS}/plan", OF_FLAGD)]
)
def test_the_etag_of_an_answer_is_from_before_the_next_change(
    api: Api, monkeypatch: pytest.MonkeyPatch, address: str, content: Any
) -> None:
    name = "plan" if address.endswith("plan") else "write"
    just_write = getattr(writing, name)

    def write_and_let_somebody_change(*args: Any, **options: Any) -> Any:
        written = just_write(*args, **options)
        change()
        return written

    monkeypatch.setattr(writing, name, write_and_let_somebody_change)
    answer = api.post(address, content)
    monkeypatch.undo()
    assert answer.status_code == 200
    assert kind_of(api.send("POST", FILE, NEW, If_Match=answer["ETag"])) == "flag-file-changed-meanwhile"


def test_a_write_says_the_revision_after_it_and_a_plan_the_one_before(api: Api) -> None:
    before = flag_file.revision()
    assert writing.plan(entries_of(NEW["flags"]), Mode.MERGE, by="user:ada").revision == before
    written = writing.write(entries_of(NEW["flags"]), Mode.MERGE, by="user:ada")
    assert written.revision == flag_file.revision() != before


def test_an_import_takes_the_etag_of_its_plan(api: Api) -> None:
    planned = api.post(f"{IMPORTS}/plan", OF_FLAGD)
    change()
    refused = api.send("POST", IMPORTS, OF_FLAGD, If_Match=planned["ETag"])
    assert (refused.status_code, kind_of(refused)) == (412, "flag-file-changed-meanwhile")
    assert not Flag.objects.filter(key="new").exists()
    planned = api.post(f"{IMPORTS}/plan", OF_FLAGD)
    assert api.send("POST", IMPORTS, OF_FLAGD, If_Match=planned["ETag"]).json()["created"] == 1


@pytest.mark.parametrize("mode", ["merge", "mirror"])
def test_the_page_shows_the_new_plan_if_its_plan_is_out_of_date(api: Api, mode: str) -> None:
    client = signed_in("operator")
    planned = client.post(PAGE, {"content": json.dumps(NEW), "mode": mode, "_plan": "1"})
    sent = {name: planned.context["form"][name].value() for name in ("content", "revision")} | {"mode": mode}
    service.create(key="b", values={}, by="user:bob")
    page = client.post(PAGE, sent)
    words = page.content.decode()
    assert page.status_code == 200
    assert "Somebody has changed a definition since the plan was shown. This is the new plan." in words
    assert ('<th scope="row">b</th>' in words) == (mode == "mirror")
    assert not Flag.objects.filter(key="new").exists()
    sent["revision"] = page.context["form"]["revision"].value()
    assert client.post(PAGE, sent).status_code == 302
    assert Flag.objects.filter(key="new").exists()


def test_the_page_does_not_keep_the_former_file_beside_the_plan_of_a_large_one(api: Api, settings: Any) -> None:
    client = signed_in("operator")
    planned = client.post(PAGE, {"content": json.dumps(NEW), "mode": "merge", "_plan": "1"})
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000
    large = SimpleUploadedFile("f.json", json.dumps({"flags": [{"name": "other", "description": "x" * 600}]}).encode())
    sent = {"content": planned.context["form"]["content"].value(), "file": large, "mode": "merge", "_plan": "1"}
    page = client.post(PAGE, sent)
    assert "The file is large. Choose it again to import it." in page.content.decode()
    assert not page.context["form"]["content"].value()


def test_the_command_writes_only_if_the_definitions_have_the_revision(api: Api, tmp_path: Path) -> None:
    file = tmp_path / "flags.json"
    revision = run("export_flags", file, "--json").document["revision"]
    planned = run("import_flags", file, "--plan")
    assert planned.lines[-1] == f"To write this and nothing else, add --if-revision {revision}"
    assert run("import_flags", file, "--plan", "--json").document["revision"] == revision
    assert run("import_flags", file, "--if-revision", revision, "--json").document["revision"] == revision
    change()
    for also in ([], ["--plan"]):
        refused = run("import_flags", file, "--if-revision", revision, *also)
        assert (refused.status, "Somebody has changed a definition" in refused.error) == (1, True), refused.error
    assert Flag.objects.get(key="a").owner == "me"
