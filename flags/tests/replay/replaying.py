"""Replays of recorded answers in tests."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from jobs.artifacts import files, uploads
from jobs.artifacts.models import Artifact
from jobs.engine.models import Job
from jobs.engine.runner import run_next
from jobs.operations.enqueue import enqueue
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.tree.models import Organization

OLGA = "command:olga"
Line = dict[str, Any]


def line(flags: dict[str, Any], **context: Any) -> Line:
    """What a former product answered for a context."""
    return {"context": context, "flags": flags}


def as_file(lines: Sequence[Line]) -> bytes:
    return "".join(json.dumps(each) + "\n" for each in lines).encode()


def uploaded(content: bytes, organization: Organization | None = None) -> Artifact:
    caller = Caller(OLGA, Role.ADMIN, organization and organization.pk)
    return uploads.upload(caller, io.BytesIO(content), name="answers.jsonl", media_type="application/jsonl")


def replayed(content: bytes | Sequence[Line], organization: Organization | None = None) -> Job:
    """A replay that has ended."""
    artifact = uploaded(content if isinstance(content, bytes) else as_file(content))
    job = enqueue(
        kind="answer_replay",
        arguments={"artifactId": artifact.pk},
        organization_id=organization and organization.pk,
        by=OLGA,
    ).job
    run_next("default")
    job.refresh_from_db()
    return job


def summary_of(job: Job) -> dict[str, Any]:
    return dict(json.loads(_content(job, "summary.json")))


def differences_of(job: Job) -> list[dict[str, str]]:
    text = _content(job, "differences.csv").decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def _content(job: Job, name: str) -> bytes:
    with files.opened(job.artifacts.get(name=name).storage_key) as file:
        return file.read()
