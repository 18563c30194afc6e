"""The files of artifacts in a bucket of S3, or of a server that speaks S3. boto3 finds the credentials by itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from tempfile import TemporaryFile
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError
from django.core.files.base import File
from django.core.files.storage import Storage
from django.utils.deconstruct import deconstructible
from django.utils.http import content_disposition_header

from jobs.artifacts.files import StoredFile

ADDRESS_SECONDS = 60
"""How long the address of a file is valid."""
MISSING = {"404", "NoSuchKey", "NotFound"}
IN_THIS_THREAD = TransferConfig(use_threads=False)


@deconstructible
class S3Files(Storage):
    """Files in a bucket, under a prefix."""

    def __init__(self, bucket: str, prefix: str = "", endpoint: str = "", region: str = "") -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._endpoint = endpoint
        self._region = region
        self._clients: dict[int, Any] = {}

    @property
    def _client(self) -> Any:
        """The client of this process, because a forked child must not share connections."""
        process = os.getpid()
        if process not in self._clients:
            config = Config(
                signature_version="s3v4",
                connect_timeout=5,
                read_timeout=60,
                retries={"mode": "standard", "max_attempts": 4},
                s3={"addressing_style": "path" if self._endpoint else "auto"},
                request_checksum_calculation="when_required",  # not every server knows newer checksums
                response_checksum_validation="when_required",
            )
            options = {"endpoint_url": self._endpoint or None, "region_name": self._region or None}
            self._clients[process] = boto3.session.Session().client("s3", config=config, **options)
        return self._clients[process]

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": f"{self._prefix}{key}"}

    def _save(self, name: str, content: Any) -> str:
        self._client.upload_fileobj(content, **self._at(name), Config=IN_THIS_THREAD)
        return name

    def _open(self, name: str, mode: str = "rb") -> File:
        copy = TemporaryFile()  # noqa: SIM115 - the caller closes it
        try:
            self._client.download_fileobj(**self._at(name), Fileobj=copy, Config=IN_THIS_THREAD)
        except ClientError as error:
            copy.close()
            if error.response.get("Error", {}).get("Code") in MISSING:
                raise FileNotFoundError(name) from error
            raise
        copy.seek(0)
        return File(copy, name)

    def exists(self, name: str) -> bool:
        """Return whether there is such a file."""
        try:
            self._client.head_object(**self._at(name))
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in MISSING:
                return False
            raise
        return True

    def delete(self, name: str) -> None:
        """Delete a file, if there is one."""
        self._client.delete_object(**self._at(name))

    def stored_files(self) -> Iterator[StoredFile]:
        """Yield every file under the prefix."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
        for page in pages:
            for found in page.get("Contents", ()):
                yield StoredFile(found["Key"].removeprefix(self._prefix), found["LastModified"])

    def address(self, key: str, *, name: str, media_type: str) -> str | None:
        """Return an address that S3 answers with the file as an attachment, for ADDRESS_SECONDS."""
        shown = {
            "ResponseContentDisposition": content_disposition_header(as_attachment=True, filename=name),
            "ResponseContentType": media_type,
        }
        return str(
            self._client.generate_presigned_url("get_object", Params=self._at(key) | shown, ExpiresIn=ADDRESS_SECONDS)
        )
