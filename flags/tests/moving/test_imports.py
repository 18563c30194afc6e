"""Imports of other products' files by the API, the command and the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from conftest import Cast, _key
from flags.definitions.models import Flag
from flags.moving import flag_file
from flags.segments.models import Segment
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of
from orgs.tests.commands import run
from orgs.tests.people import signed_in

pytestmark = pytest.mark.django_db
FOLDER = Path(__file__).parent
SOURCES = ["unleash", "flagd", "launchdarkly", "growthbook", "flagsmith"]
IMPORTS = "/v1/flag-imports"


def project(source: str) -> Any:
    return json.loads((FOLDER / f"{source}.json").read_text())


@pytest.mark.parametrize("source", SOURCES)
def test_an_import_does_what_its_plan_says_and_a_second_one_changes_nothing(source: str) -> None:
    api = Api(_key("editor", Role.EDITOR))
    body = {"source": source, "file": project(source), "reason": "we move"}
    plan = api.post(f"{IMPORTS}/plan", {name: body[name] for name in ("source", "file")})
    assert not Flag.objects.exists()
    imported = api.post(IMPORTS, body)
    assert imported.json() == plan.json()
    assert imported.json()["created"] == Flag.objects.count() > 3
    assert any(not remark["imported"] for remark in imported.json()["remarks"])
    assert AuditEntry.objects.filter(action="flag.create", reason="we move").count() == Flag.objects.count()
    before = flag_file.text_of(flag_file.document())
    again = api.post(IMPORTS, body).json()
    assert (again["created"], again["changed"], again["unchanged"]) == (0, 0, Flag.objects.count())
    assert flag_file.text_of(flag_file.document()) == before


@pytest.mark.parametrize(
    ("source", "keys"),
    [
        ("launchdarkly", ["pilot", "staff"]),
        ("unleash", ["members-of-2026-8"]),
        ("flagsmith", ["old-apps-2", "pros-in-europe-1"]),
    ],
)
def test_an_import_brings_the_segments_for_which_flags_ask(source: str, keys: list[str]) -> None:
    api = Api(_key("editor", Role.EDITOR))
    answer = api.post(IMPORTS, {"source": source, "file": project(source)}).json()
    assert [(each["key"], each["action"]) for each in answer["segments"]] == [(key, "create") for key in keys]
    assert sorted(Segment.objects.values_list("key", flat=True)) == keys
    again = api.post(IMPORTS, {"source": source, "file": project(source)}).json()
    assert {each["action"] for each in again["segments"]} == {"none"}


@pytest.mark.parametrize("source", SOURCES)
def test_the_command_imports_too(source: str) -> None:
    planned = run("import_flags", FOLDER / f"{source}.json", "--from", source, "--plan")
    assert planned.lines[-2] == "Nothing was written."
    assert " is left out (" in planned.out
    assert run("import_flags", FOLDER / f"{source}.json", "--from", source, "--json").document["created"] > 3
    assert run("import_flags", FOLDER / f"{source}.json", "--from", source, "--mirror").status == 2


def test_the_page_imports_too() -> None:
    client = signed_in("operator")
    text = (FOLDER / "flagd.json").read_bytes()
    sent = {"file": SimpleUploadedFile("f.json", text), "source": "flagd", "mode": "merge", "_plan": "1"}
    page = client.post("/admin/flags/flag/import/", sent).content.decode()
    assert "thirds is left out (weights)" in page
    sent = {"content": text.decode(), "source": "flagd", "mode": "mirror"}
    assert "can be mirrored" in client.post("/admin/flags/flag/import/", sent).content.decode()
    assert client.post("/admin/flags/flag/import/", sent | {"mode": "merge"}).status_code == 302
    assert Flag.objects.filter(key="colour").exists()


NO_UNICODE = {"flags": {"good": {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"},
                        "a\ud800": {"variants": {}}}}  # fmt: skip


def test_an_import_whose_remarks_name_what_is_no_unicode_is_answered() -> None:
    answer = Api(_key("editor", Role.EDITOR)).post(IMPORTS, {"source": "flagd", "file": NO_UNICODE})
    assert (answer.status_code, answer.json()["created"]) == (200, 1)
    assert [each["flag"] for each in answer.json()["remarks"]] == ["a\N{REPLACEMENT CHARACTER}"]


def test_a_page_after_an_import_whose_remarks_name_what_is_no_unicode_is_shown() -> None:
    client = signed_in("operator")
    sent = {"content": json.dumps(NO_UNICODE), "source": "flagd", "mode": "merge"}
    shown = client.post("/admin/flags/flag/import/", sent, follow=True)
    assert (shown.status_code, "a\N{REPLACEMENT CHARACTER} is left out" in shown.content.decode()) == (200, True)


@pytest.mark.parametrize("environment", ["", "other"])
def test_an_environment_whose_name_is_no_unicode_is_in_a_message(environment: str) -> None:
    environments: Any = {"\ud800": {}, "production": {}}
    file = {"items": [{"key": "x", "variations": [True, False], "environments": environments}]}
    body = {"source": "launchdarkly", "file": file, "environment": environment}
    refused = Api(_key("editor", Role.EDITOR)).post(IMPORTS, body)
    assert kind_of(refused) == "invalid-flag-file"
    assert "\N{REPLACEMENT CHARACTER}" in refused.json()["detail"]


def test_who_may_not_define_flags_imports_none(cast: Cast) -> None:
    body = {"source": "flagd", "file": project("flagd")}
    for address in (IMPORTS, f"{IMPORTS}/plan"):
        assert kind_of(Api(_key("b", Role.ADMIN, cast.acme)).post(address, body)) == "outside-of-your-subtree"
        assert Api(_key("r", Role.READER)).post(address, body).status_code == 403
    assert kind_of(Api(_key("e", Role.EDITOR)).post(IMPORTS, body | {"file": {"x": 1}})) == "invalid-flag-file"
