"""The storages of artifacts: a folder and S3 behave alike."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import boto3
import pytest
import requests
from moto.server import ThreadedMotoServer
from pytest_django import Settings

from jobs.artifacts import files
from jobs.artifacts.files import LocalFiles, artifact_files
from jobs.artifacts.s3_files import S3Files
from jobs.tests.artifacts.making import CONTENT, make
from orgs.access import access_keys
from orgs.access.models import Role
from orgs.tests.api import Api

KEY = "17/0123456789abcdef0123456789abcdef/report.csv"


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """A server that speaks S3, with one bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The settings of an empty bucket."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    requests.post(f"{s3_server}/moto-api/reset", timeout=10)
    options = {"endpoint_url": s3_server, "region_name": "us-east-1"}
    boto3.session.Session().client("s3", **options).create_bucket(Bucket="flags")
    own = {"bucket": "flags", "prefix": "made/here", "endpoint": s3_server, "region": "us-east-1"}
    return {"BACKEND": "jobs.artifacts.s3_files.S3Files", "OPTIONS": own}


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.slow)])
def storage(request: pytest.FixtureRequest, settings: Settings) -> Any:
    """Each storage in its turn."""
    if request.param == "s3":
        settings.STORAGES = {**settings.STORAGES, "artifacts": request.getfixturevalue("s3")}
    assert isinstance(artifact_files(), LocalFiles if request.param == "folder" else S3Files)
    return artifact_files()


def test_what_is_saved_is_read_again(storage: Any) -> None:
    size, sha256 = files.save(KEY, BytesIO(CONTENT))
    assert (size, len(sha256)) == (len(CONTENT), 64)
    with files.opened(KEY) as content:
        assert content.read() == CONTENT
        content.seek(4)
        assert content.read(4) == CONTENT[4:8]


def test_large_files_arrive_whole(storage: Any) -> None:
    content = bytes(range(256)) * 40_000  # more than one part of an upload to S3
    files.save(KEY, BytesIO(content))
    with files.opened(KEY) as stored:
        assert stored.read() == content


def test_every_file_is_listed_with_the_time_of_its_writing(storage: Any) -> None:
    files.save(KEY, BytesIO(CONTENT))
    files.save("uploads/b", BytesIO(CONTENT))
    found = {file.key: file.modified_at for file in storage.stored_files()}
    assert found.keys() == {KEY, "uploads/b"}
    assert all(abs(datetime.now(UTC) - moment) < timedelta(minutes=5) for moment in found.values())


def test_a_deleted_file_is_gone_and_may_be_deleted_again(storage: Any) -> None:
    files.save(KEY, BytesIO(CONTENT))
    storage.delete(KEY)
    storage.delete(KEY)
    assert (list(storage.stored_files()), storage.exists(KEY)) == ([], False)
    with pytest.raises(FileNotFoundError), files.opened(KEY):
        pass


def test_no_file_takes_the_place_of_another(storage: Any) -> None:
    files.save(KEY, BytesIO(CONTENT))
    with pytest.raises(FileExistsError):
        files.save(KEY, BytesIO(b"other"))
    assert [file.key for file in storage.stored_files()] == [KEY]


@pytest.mark.slow
def test_s3_hands_out_a_file_by_itself_for_a_minute(db: None, s3: dict[str, Any], settings: Settings) -> None:
    settings.STORAGES = {**settings.STORAGES, "artifacts": s3}
    job = make("a.csv")
    operator = Api(access_keys.create(name="operator", role=Role.OPERATOR)[1])
    answer = operator.get(f"/v1/queue/jobs/{job.pk}/artifacts/a.csv")
    assert (answer.status_code, answer["Cache-Control"]) == (302, "no-store")
    assert "X-Amz-Expires=60" in answer["Location"]
    file = requests.get(answer["Location"], timeout=10)
    assert (file.content, file.headers["Content-Disposition"]) == (CONTENT, 'attachment; filename="a.csv"')
