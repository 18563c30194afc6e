"""ARTIFACTS_URL says where the files of artifacts are."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from flagsite import environment


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("", {"location": "/data/artifacts"}),
        ("file:///srv/flag%20files", {"location": "/srv/flag files"}),
        ("s3://bucket", {"bucket": "bucket", "prefix": ""}),
        ("s3://bucket/a/b/?region=eu-north-1", {"bucket": "bucket", "prefix": "a/b", "region": "eu-north-1"}),
        ("s3://bucket?endpoint=https://s3.example.com:9000",
         {"bucket": "bucket", "prefix": "", "endpoint": "https://s3.example.com:9000"}),
    ],
)  # fmt: skip
def test_the_url_says_where_the_files_are(url: str, options: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARTIFACTS_URL", url)
    assert environment.artifacts_storage("ARTIFACTS_URL", Path("/data/artifacts"))["OPTIONS"] == options


@pytest.mark.parametrize(
    "url",
    [
        "/srv/files",
        "file://host/folder",
        "file:///",
        "s3://",
        "s3://key:secret@bucket",
        "https://bucket",
        "s3://b/?acl=x",
    ],
)
def test_a_url_that_means_nothing_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARTIFACTS_URL", url)
    with pytest.raises(ImproperlyConfigured, match="ARTIFACTS_URL is not a valid URL"):
        environment.artifacts_storage("ARTIFACTS_URL", Path("/data/artifacts"))
