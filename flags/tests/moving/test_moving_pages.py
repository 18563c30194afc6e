"""The pages of the admin site that export and import definitions."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from conftest import Cast
from flags.definitions import service
from flags.definitions.models import Flag
from orgs.tests.people import signed_in

pytestmark = pytest.mark.django_db
EXPORT, IMPORT = "/admin/flags/flag/export/", "/admin/flags/flag/import/"


def upload(content: str) -> Any:
    return SimpleUploadedFile("flags.json", content.encode(), "application/json")


def test_a_person_exports_plans_and_imports() -> None:
    service.create(key="checkout", values={"owner": "shop"}, by="user:ada")
    client = signed_in("operator")
    answer = client.get(EXPORT)
    assert answer["Content-Disposition"] == 'attachment; filename="flags.json"'
    text = answer.content.decode()
    service.update(key="checkout", values={"owner": "me"}, by="user:ada")
    planned = client.post(IMPORT, {"file": upload(text), "mode": "merge", "_plan": "1"})
    page = planned.content.decode()
    assert "1 flag: 0 defined, 1 changed, 0 archived, 0 unchanged." in page
    assert "owner: &quot;me&quot; → &quot;shop&quot;" in page
    assert Flag.objects.get().owner == "me"
    kept = planned.context["form"]["content"].value()
    assert client.post(IMPORT, {"content": kept, "mode": "merge", "reason": "back"}).status_code == 302
    assert Flag.objects.get().owner == "shop"


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({}, "Choose a file."),
        ({"content": "{"}, "The file is not JSON"),
        ({"content": '{"flags": [{"name": "x", "prerequisites": ["y"]}]}'}, "The flag &#x27;x&#x27;: There is no flag"),
    ],
)
def test_the_page_says_what_is_wrong_with_a_file(sent: dict[str, str], words: str) -> None:
    client = signed_in("operator")
    for also in ({}, {"_plan": "1"}):
        assert words in client.post(IMPORT, {"mode": "merge", **sent, **also}).content.decode()
    assert not Flag.objects.exists()


def test_only_people_without_a_scope_export_and_only_those_who_define_import(cast: Cast) -> None:
    bound = signed_in("operator", bound_to=cast.acme, name="bound")
    assert {bound.get(address).status_code for address in (EXPORT, IMPORT)} == {403}
    viewer = signed_in("viewer", name="vera")
    assert viewer.get(EXPORT).status_code == 200
    assert viewer.get(IMPORT).status_code == 403
