"""The upload of a file: as the whole body of a request, or as the field `file` of a multipart form."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, cast

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import UnreadablePostError
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.request import Request

from flagsite.core.api.input import refuse_unknown
from orgs.access.endpoints import Endpoint

BLOCK_BYTES = 1 << 16
SPOOLED_BYTES = 1 << 20
"""A larger file is on the disk while it is uploaded."""
MULTIPART_OVERHEAD_BYTES = 1 << 16
"""The parts of a multipart body besides the file may have this many bytes."""
FILE_NEEDED = "Send the file as the body of the request, or as the field file of a multipart form."
WORKBOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded file with its name, if it has one, its media type, and the SHA-256 of its content."""

    content: BinaryIO
    name: str
    digest: bytes
    media_type: str = ""


class RawFile(BaseParser):
    """Reads the whole body as a file, which the view has to close; a subclass has the media type."""

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Upload:
        context = parser_context or {}
        length = check_size(context["request"], settings.MAX_IMPORT_BYTES)
        content = cast("BinaryIO", SpooledTemporaryFile(SPOOLED_BYTES))  # noqa: SIM115 - the view closes it
        context["view"].opened_files.append(content)
        digest = hashlib.sha256()
        try:
            for block in iter(partial(stream.read, BLOCK_BYTES), b""):
                content.write(block)
                digest.update(block)
        except UnreadablePostError:
            raise ParseError("The body ended too early.") from None
        if content.tell() != length:
            raise ParseError("The body ended too early.")
        content.seek(0)
        return Upload(content, "", digest.digest(), self.media_type)


class CsvFile(RawFile):
    """Reads a CSV file."""

    media_type = "text/csv"


class WorkbookFile(RawFile):
    """Reads an Excel workbook."""

    media_type = WORKBOOK


class AnyFile(RawFile):
    """Reads a file of a kind that the client does not know."""

    media_type = "application/octet-stream"


class FormWithFile(MultiPartParser):
    """Reads a multipart form with a file. Django writes a large file to the disk."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        check_size(parser_context["request"], settings.MAX_IMPORT_BYTES + MULTIPART_OVERHEAD_BYTES)
        return super().parse(stream, media_type, parser_context)


class JsonLinesFile(RawFile):
    """Reads a file with a JSON value on each line."""

    media_type = "application/jsonl"


PARSERS = (CsvFile, WorkbookFile, AnyFile, FormWithFile)
PARSERS_OF_ARTIFACTS = (CsvFile, WorkbookFile, JsonLinesFile, AnyFile, FormWithFile)
RAW_TYPES = ("text/csv", WORKBOOK, "application/jsonl", "application/octet-stream")
"""The media types of artifacts that are the whole body of a request."""
FILE = {"type": "string", "format": "binary", "minLength": 1}
FORM = {"type": "object", "required": ["file"], "properties": {"file": FILE}, "additionalProperties": False}


class TakesFiles(Endpoint):
    """A part of views whose body is a file. The view closes the files of the parsers."""

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        self.opened_files: list[BinaryIO] = []
        try:
            return super().dispatch(request, *args, **kwargs)
        finally:
            for file in self.opened_files:
                file.close()

    def body_to_compare(self, request: Request) -> bytes:
        return upload_of(request).digest


def check_size(request: Any, limit: int) -> int:
    """Return the length of the body. Raises RequestDataTooBig."""
    length = int(request.META.get("CONTENT_LENGTH") or 0)
    if length > limit:
        raise RequestDataTooBig
    return length


def upload_of(request: Request) -> Upload:
    """Return the uploaded file. Raises ValidationError if there is none, and the errors of the parsers."""
    data = request.data
    if isinstance(data, Upload):
        return data
    refuse_unknown([name for name in (*data, *request.FILES) if name != "csrfmiddlewaretoken"], ["file"])
    files = request.FILES.getlist("file")
    if len(files) != 1:
        raise ValidationError({"file": [FILE_NEEDED]})
    return uploaded(files[0])


def uploaded(file: Any) -> Upload:
    """Return an uploaded file of a form."""
    digest = hashlib.sha256()
    for block in file.chunks():
        digest.update(block)
    file.seek(0)
    if not file.size:
        raise ValidationError({"file": ["The file is empty."]})
    return Upload(file, file.name or "", digest.digest(), _media_type(file.content_type))


def _media_type(text: str | None) -> str:
    """Return the media type of a file of a form, or the one of any file if it is no media type."""
    return text if text and re.fullmatch(r"[\w.+-]{1,49}/[\w.+-]{1,49}", text, re.ASCII) else AnyFile.media_type
