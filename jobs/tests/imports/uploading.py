"""Uploads of files of organizations, and the workers that import them."""

from __future__ import annotations

from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from jobs.engine import runner
from jobs.engine.models import Job
from jobs.imports.models import OrganizationImport
from orgs.tests.api import Api

IMPORTS = "/v1/imports"
HEADER = "key,name,parent_key\n"


def file_of(*rows: str) -> bytes:
    """A CSV file."""
    return (HEADER + "\n".join(rows)).encode()


def upload(key: str, content: bytes, query: str = "", **headers: str) -> Any:
    """Send the file as the body."""
    return Api(key).send("POST", f"{IMPORTS}?{query}", content, **{"Content-Type": "text/csv", **headers})


def upload_form(key: str, content: bytes, query: str = "", *, field: str = "file", **fields: str) -> Any:
    """Send the file as a field of a form, as `curl --form` does."""
    data = {field: SimpleUploadedFile("stores.csv", content), **fields}
    return Client(headers={"Authorization": f"Bearer {key}"}).post(f"{IMPORTS}?{query}", data)


def started(answer: Any) -> int:
    """The id of the job that was started."""
    assert answer.status_code == 202, answer.content
    assert answer["Location"] == answer.json()["trackingUrl"] == f"/job-status/{answer.json()['jobId']}"
    return int(answer.json()["jobId"])


def work() -> None:
    """Do what waits."""
    while runner.run_next("default") or runner.run_next("cleanup"):
        pass


def imported(key: str, content: bytes, query: str = "") -> dict[str, Any]:
    """Upload a file, let a worker import it, and read the result."""
    job_id = started(upload(key, content, query))
    work()
    answer = Api(key).get(f"{IMPORTS}/{job_id}")
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


def counts(result: dict[str, Any]) -> tuple[Any, ...]:
    """What an import has done."""
    return tuple(result[name] for name in ("status", "created", "renamed", "moved", "unchanged", "problems"))


def record_of(job_id: int) -> OrganizationImport:
    """The import of a job."""
    return OrganizationImport.objects.get(job_id=Job.objects.get(pk=job_id).root_id)
