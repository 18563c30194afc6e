"""The download of an artifact: the API and the admin site give the same answer."""

from __future__ import annotations

from typing import Any

from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseNotModified, HttpResponseRedirect

from jobs.artifacts.files import artifact_files
from jobs.artifacts.models import Artifact
from jobs.errors import ArtifactNotFound


def download(request: HttpRequest, artifact: Artifact) -> Any:
    """Return the answer with the file, or with the address at which the storage hands it out for a minute.

    A browser saves the file and never shows it as a page. Raises ArtifactNotFound if the file is gone.
    """
    tag = f'"{artifact.sha256}"'
    if tag in [part.strip() for part in request.headers.get("If-None-Match", "").split(",")]:
        return _described(HttpResponseNotModified(), tag)
    files = artifact_files()
    address = files.address(artifact.storage_key, name=artifact.name, media_type=artifact.media_type)
    if address is not None:
        answer = HttpResponseRedirect(address)
        answer["Cache-Control"] = "no-store"
        return answer
    try:
        content = files.open(artifact.storage_key)
    except FileNotFoundError:
        raise ArtifactNotFound("The file of this artifact is gone. Run its job again.") from None
    file = FileResponse(content, as_attachment=True, filename=artifact.name, content_type=artifact.media_type)
    file["Content-Length"] = str(artifact.size)
    return _described(file, tag)


def _described(answer: HttpResponse | FileResponse, tag: str) -> Any:
    answer["ETag"] = tag
    answer["Cache-Control"] = "private, no-cache"
    answer["X-Content-Type-Options"] = "nosniff"
    return answer
