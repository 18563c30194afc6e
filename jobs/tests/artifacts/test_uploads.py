"""Files that are uploaded for jobs."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models.functions import Now
from django.test import Client
from pytest_django import Settings

from conftest import Cast
from jobs.artifacts.files import opened
from jobs.artifacts.models import Artifact
from jobs.artifacts.uploads import find_upload
from jobs.errors import ArtifactNotFound
from jobs.tests.artifacts.making import stored
from orgs.access import access_keys
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
ADDRESS = "/v1/queue/artifacts"
CONTENT = b"targetingKey\nuser-17\n"


def key_for(organization: Any = None, role: Role = Role.OPERATOR) -> str:
    return access_keys.create(name="uploader", role=role, organization=organization)[1]


def upload(key: str, content: bytes = CONTENT, query: str = "", **headers: str) -> Any:
    return Api(key).send("POST", f"{ADDRESS}{query}", content, **{"Content-Type": "text/csv", **headers})


def content_of(artifact_id: int) -> bytes:
    with opened(Artifact.objects.get(pk=artifact_id).storage_key) as file:
        return file.read()


def test_a_file_is_uploaded_as_the_body_of_a_request(db: None) -> None:
    answer = upload(key_for(), query="?name=users.csv", X_Reason="for tonight")
    body = answer.json()
    assert (answer.status_code, body["name"], body["mediaType"], body["bytes"]) == (201, "users.csv", "text/csv", 21)
    assert (content_of(body["id"]), body["url"]) == (CONTENT, None)
    entry = AuditEntry.objects.get(action="artifact.upload")
    assert (entry.reason, entry.details["file"]) == ("for tonight", "users.csv")


def test_a_file_is_uploaded_as_a_field_of_a_form(db: None) -> None:
    client = Client(headers={"Authorization": f"Bearer {key_for()}"})
    sent = {"file": SimpleUploadedFile("../../etc/users.csv", CONTENT, "text/csv; x=<script>")}
    body = client.post(ADDRESS, sent).json()
    assert (body["name"], body["mediaType"]) == ("users.csv", "text/csv")
    assert content_of(body["id"]) == CONTENT


def test_the_name_of_an_uploaded_file_is_no_part_of_a_path(db: None) -> None:
    upload(key_for(), query="?name=../../x")
    (key,) = stored()
    assert key.startswith("uploads/")
    assert ".." not in key


def test_a_file_that_is_sent_again_with_the_same_key_is_stored_once(db: None) -> None:
    key = key_for()
    ids = {upload(key, Idempotency_Key="1").json()["id"] for _ in range(2)}
    assert (len(ids), len(stored())) == (1, 1)
    assert kind_of(upload(key, b"other", Idempotency_Key="1")) == "idempotency-conflict"


def test_a_file_that_is_too_large_is_refused(settings: Settings) -> None:
    settings.MAX_IMPORT_BYTES = 10
    answer = upload(key_for())
    assert (answer.status_code, kind_of(answer), stored()) == (413, "request-too-large", [])


def test_a_reader_uploads_nothing(db: None) -> None:
    assert upload(key_for(role=Role.EDITOR)).status_code == 403


def test_each_caller_sees_the_files_of_its_own_scope(cast: Cast) -> None:
    for organization in (None, cast.north, cast.rival):
        upload(key_for(organization), query=f"?name={organization}")
    names = {
        str(organization): [each["name"] for each in Api(key_for(organization)).get(ADDRESS).json()["results"]]
        for organization in (None, cast.acme, cast.north, cast.oslo, cast.rival)
    }
    north, rival = str(cast.north), str(cast.rival)
    assert names == {
        "None": [rival, north, "None"], str(cast.acme): [north], north: [north], str(cast.oslo): [], rival: [rival],
    }  # fmt: skip


def test_a_job_cannot_name_the_file_of_another_organization(cast: Cast) -> None:
    artifact_id = upload(key_for(cast.rival)).json()["id"]
    assert find_upload(Caller("key:x", Role.OPERATOR), artifact_id).pk == artifact_id
    with pytest.raises(ArtifactNotFound, match=f"no artifact {artifact_id}"):
        find_upload(Caller("key:x", Role.OPERATOR, cast.acme.pk), artifact_id)


def test_an_organization_has_no_more_uploaded_files_than_the_setting_allows(cast: Cast, settings: Settings) -> None:
    settings.UPLOADS_PER_ORGANIZATION = 2
    key = key_for(cast.acme)
    kept = [upload(key).json()["id"] for _ in range(2)]
    refused = upload(key)
    assert (refused.status_code, kind_of(refused), len(stored())) == (409, "too-many-uploads", 2)
    assert "UPLOADS_PER_ORGANIZATION" in refused.json()["detail"]
    assert [upload(key_for(other)).status_code for other in (cast.north, cast.rival, None)] == [201] * 3
    Artifact.objects.filter(pk=kept[0]).update(expires_at=Now())
    assert [upload(key).status_code for _ in range(2)] == [201, 409]


def test_the_form_says_that_there_are_too_many_uploaded_files(db: None, settings: Settings) -> None:
    settings.UPLOADS_PER_ORGANIZATION = 1
    upload(key_for())
    sent = {"file": SimpleUploadedFile("users.csv", CONTENT), "reason": "tonight"}
    page = shown(signed_in("operator").post("/admin/jobs/artifact/add/", sent))
    assert "There are, for all organizations together, 1 uploaded artifacts already." in page
    assert Artifact.objects.count() == 1
