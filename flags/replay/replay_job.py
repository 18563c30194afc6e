"""The job that replays recorded answers: it evaluates each context at one moment, and compares.

It keeps a summary and the first differences as artifacts. An attempt that ends early has none, and the next one begins
anew, because a proof must not mix two moments.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

from flags.replay.comparison import Comparison
from flags.replay.moment import Moment, now_for
from flags.replay.recording import MAX_BYTES, Contents, RecordedContext, contents_of, recorded_contexts
from flagsite.core.csv_output import csv_lines
from jobs.artifacts import files
from jobs.artifacts.models import Artifact
from jobs.artifacts.uploads import find_upload
from jobs.engine.kinds import DEFAULT_STALL_SECONDS, job_kind
from jobs.engine.run import Run
from jobs.errors import ArtifactNotFound, InvalidJobArguments, PermanentFailure
from jobs.operations import requester_rights
from orgs.access import requesters
from orgs.access.caller import Caller
from orgs.access.models import Role

KIND = "answer_replay"
SUMMARY, DIFFERENCES = "summary.json", "differences.csv"
COLUMNS = ("line", "flag", "expected", "got", "rule", "ruleId")
CHECK_SECONDS = 0.5
AGAIN = "Somebody who may operate Flagsite can enqueue the job again."
ARGUMENTS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "artifactId": {
            "type": "integer",
            "title": "File of recorded answers",
            "description": "The number of an artifact with JSON lines, each with a context and the recorded answers "
            "of its flags.",
            "minimum": 1,
        },
    },
    "required": ["artifactId"],
    "additionalProperties": False,
}


def check(requester: Caller, organization_id: int | None, arguments: Mapping[str, Any]) -> None:
    """Check what can be checked before the job runs. Raises ArtifactNotFound, InvalidJobArguments."""
    artifact = find_upload(requester, arguments["artifactId"])
    if artifact.size > MAX_BYTES:
        raise InvalidJobArguments({"arguments.artifactId": _too_large(artifact)})


@job_kind(
    KIND,
    summary="Evaluate recorded contexts at one moment, and compare the results with the answers of a former product.",
    arguments=ARGUMENTS,
    of_organization=True,
    stall_seconds=DEFAULT_STALL_SECONDS,
    check=check,
)
def replay(run: Run) -> None:
    """Compare each recorded answer with that of Flagsite, and write a summary and the first differences.

    A context without an organization has that of the job. A line that cannot be read, and an organization that does
    not exist or is not in the subtree of the job, are permanent failures that name the line.
    """
    organization_id = run.job.organization_id
    requester_rights.check_may_still(run.job.requested_by, Role.OPERATOR, organization_id=organization_id, again=AGAIN)
    with _recording(run) as (artifact, file):
        contents = contents_of(_checked(run, file), file)
        caller = Caller(run.job.requested_by, Role.OPERATOR, organization_id)
        moment = now_for(caller, contents.organizations, run.check)
        comparison = Comparison(moment)
        for recorded in _checked(run, file):
            comparison.add(recorded)
    _write(run, artifact, contents, moment, comparison)


@contextmanager
def _recording(run: Run) -> Iterator[tuple[Artifact, BinaryIO]]:
    """Yield the file of recorded answers. Raises PermanentFailure."""
    artifact_id = run.job.arguments["artifactId"]
    try:
        artifact = find_upload(requesters.caller_named(run.job.requested_by), artifact_id)
        if artifact.size > MAX_BYTES:
            raise PermanentFailure(_too_large(artifact))
        with files.opened(artifact.storage_key) as content:
            yield artifact, content
    except (ArtifactNotFound, FileNotFoundError) as error:
        raise PermanentFailure(f"The file, artifact {artifact_id}, is gone. Upload it again.") from error


def _too_large(artifact: Artifact) -> str:
    return f"{artifact.name} has {artifact.size:,} bytes, and a replay reads at most {MAX_BYTES:,}. Split the file."


def _checked(run: Run, file: BinaryIO) -> Iterator[RecordedContext]:
    """Yield the recorded contexts, and check twice a second that the work should go on. Raises like `Run.check`."""
    checked_at = time.monotonic()

    def check() -> None:
        nonlocal checked_at
        if time.monotonic() - checked_at > CHECK_SECONDS:
            run.check_while_waiting()
            checked_at = time.monotonic()

    for recorded in recorded_contexts(file, check):
        yield recorded
        check()
    run.check_while_waiting()


def _write(run: Run, artifact: Artifact, contents: Contents, moment: Moment, comparison: Comparison) -> None:
    """Write the artifacts, and the summary without the flags as the result of the job."""
    compared, different = comparison.compared, comparison.different
    result = {
        "identical": not different,
        "at": moment.at.isoformat(),
        "contexts": contents.contexts,
        "comparisons": compared.total(),
        "same": compared.total() - different.total(),
        "different": different.total(),
        "input": {"artifactId": artifact.pk, "bytes": contents.size, "sha256": contents.sha256},
        "definitionsFingerprint": moment.definitions.fingerprint.hex(),
    }
    definitions = moment.definitions.by_key
    flags = {
        flag: {
            "version": definitions[flag].version if flag in definitions else None,
            "comparisons": count,
            "same": count - different[flag],
            "different": different[flag],
        }
        for flag, count in sorted(compared.items())
    }
    summary = result | {"jobId": run.job.root_id, "organizationId": run.job.organization_id, "flags": flags}
    with run.artifact(SUMMARY, "application/json") as file:
        file.write(json.dumps(summary, indent=2, ensure_ascii=False).encode())
    with run.artifact(DIFFERENCES, "text/csv") as file:
        file.writelines(line.encode() for line in csv_lines(COLUMNS, comparison.differences))
    run.set_result(result)
