"""The job that evaluates many flags for many organizations and users, all at one moment.

An attempt copies the state of the database first (`frozen_state`), and evaluates the copy with the compiled flags that
every other evaluation uses. An attempt that ends early has no artifacts. The next one begins anew, with the state of
its own time, because one result must not mix two moments.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db import transaction

from flags.batch_evaluation import users as users_of_file
from flags.batch_evaluation.formats import PARQUET_MISSING, Block, has_parquet
from flags.batch_evaluation.frozen_state import FrozenState, frozen
from flags.batch_evaluation.parts import Parts
from flags.batch_evaluation.users import MAX_KEY_LENGTH, NO_USER
from flags.definitions.models import Flag
from flags.definitions.refusals import unknown_flag
from flags.serving.resolution import Resolution
from jobs.artifacts import files
from jobs.artifacts.uploads import find_upload
from jobs.engine.kinds import DEFAULT_STALL_SECONDS, job_kind
from jobs.engine.run import Run
from jobs.errors import ArtifactNotFound, InvalidJobArguments, PermanentFailure
from jobs.operations import requester_rights
from orgs.access import requesters
from orgs.access.caller import Caller
from orgs.access.models import Role

KIND = "batch_evaluation"
MANIFEST = "manifest.json"
MAX_EVALUATIONS = 200_000_000
EVALUATIONS_OF_BLOCK = 20_000
"""About so many evaluations are in memory at once."""
PROGRESS_SECONDS = 0.5
OUTCOMES = ("on", "off", "undecided")
AGAIN = "Somebody who may operate Flagsite can enqueue the job again."
ARGUMENTS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "flags": {
            "type": "array",
            "title": "Flags",
            "description": "The names of the flags.",
            "items": {"type": "string", "minLength": 1, "maxLength": 100},
            "minItems": 1,
            "maxItems": 1000,
            "uniqueItems": True,
        },
        "users": {
            "type": "array",
            "title": "Users",
            "description": "The targeting keys. Without users, each flag is evaluated once for each organization.",
            "items": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH},
            "maxItems": 5000,
            "uniqueItems": True,
            "default": [],
        },
        "artifactId": {
            "type": ["integer", "null"],
            "title": "File of users",
            "description": "The number of an artifact with many users: CSV with the column targetingKey, or JSON "
            "lines.",
            "minimum": 1,
            "default": None,
        },
        "environment": {
            "type": ["string", "null"],
            "title": "Environment",
            "description": "The environment of the evaluations.",
            "minLength": 1,
            "maxLength": 64,
            "default": None,
        },
        "format": {
            "title": "Format",
            "description": "The format of the result.",
            "enum": ["csv", "jsonl", "parquet"],
            "default": "csv",
        },
    },
    "required": ["flags"],
    "additionalProperties": False,
}


def check(requester: Caller, organization_id: int | None, arguments: Mapping[str, Any]) -> None:
    """Check what can be checked before the job runs. Raises FlagNotFound, ArtifactNotFound, InvalidJobArguments."""
    keys = arguments["flags"]
    known = set(Flag.objects.filter(key__in=keys).values_list("key", flat=True))
    if unknown := [key for key in keys if key not in known]:
        raise unknown_flag(unknown[0], known_to=requester.organization_id)
    if arguments["artifactId"] is not None:
        if arguments["users"]:
            raise InvalidJobArguments({"arguments": "Name the users, or a file of users, but not both."})
        find_upload(requester, arguments["artifactId"])
    if arguments["format"] == "parquet" and not has_parquet():
        raise InvalidJobArguments({"arguments.format": PARQUET_MISSING})


@job_kind(
    KIND,
    summary="Evaluate flags for many organizations and users at one moment, and write the results into files.",
    arguments=ARGUMENTS,
    of_organization=True,
    stall_seconds=DEFAULT_STALL_SECONDS,
    check=check,
)
def evaluate_batch(run: Run) -> None:
    """Evaluate each flag for each user of each organization of the subtree, and write the parts and a manifest.

    `processed` counts organizations. A flag or an organization that does not exist, a file of users that cannot be read
    and too many evaluations are permanent failures.
    """
    arguments, organization_id = run.job.arguments, run.job.organization_id
    requester_rights.check_may_still(run.job.requested_by, Role.OPERATOR, organization_id=organization_id, again=AGAIN)
    if arguments["format"] == "parquet" and not has_parquet():
        raise PermanentFailure(PARQUET_MISSING)
    users = _users(run)
    with frozen(arguments["flags"], organization_id) as state:
        total = state.organization_count * len(users) * len(arguments["flags"])
        if total > MAX_EVALUATIONS:
            raise PermanentFailure(
                f"These would be {total:,} evaluations, and a job makes at most {MAX_EVALUATIONS:,}. Name fewer flags "
                "or users, or enqueue a job for each part of the tree."
            )
        with transaction.atomic():
            run.record_progress(total=state.organization_count)
        counts = FlagCounts()
        with Parts(run, arguments["format"]) as parts:
            for block in _with_progress(run, _blocks(state, arguments, users)):
                parts.write(block)
                counts.add(block[2])
        _write_manifest(run, state, users, counts, parts)


class FlagCounts:
    """How often each flag was on, was off and could not be decided."""

    def __init__(self) -> None:
        self._resolutions: Counter[Resolution] = Counter()
        self._of_flags: dict[str, Counter[str]] = {}

    def add(self, resolutions: Sequence[Resolution]) -> None:
        """Count resolutions."""
        self._resolutions.update(resolutions)
        if len(self._resolutions) > EVALUATIONS_OF_BLOCK:
            self.of_flags()

    def of_flags(self) -> dict[str, Counter[str]]:
        """Return the counts by the name of the flag."""
        for resolution, count in self._resolutions.items():
            outcome = {True: "on", False: "off", None: "undecided"}[resolution.enabled]
            self._of_flags.setdefault(resolution.key, Counter())[outcome] += count
        self._resolutions.clear()
        return self._of_flags


def _users(run: Run) -> Sequence[str]:
    """Return the targeting keys; one that is empty if no users are named."""
    artifact_id = run.job.arguments["artifactId"]
    if artifact_id is None:
        return run.job.arguments["users"] or NO_USER
    try:
        artifact = find_upload(requesters.caller_named(run.job.requested_by), artifact_id)
        with files.opened(artifact.storage_key) as content:
            return users_of_file.in_file(artifact, content)
    except (ArtifactNotFound, FileNotFoundError) as error:
        raise PermanentFailure(f"The file of users, artifact {artifact_id}, is gone. Upload it again.") from error


def _blocks(state: FrozenState, arguments: Mapping[str, Any], users: Sequence[str]) -> Iterator[tuple[Block, bool]]:
    """Yield the evaluations, and with the last block of each organization that it is the last one."""
    flag_keys, environment = arguments["flags"], arguments["environment"] or ""
    pairs = [(user, user.encode()) for user in users]
    at_once = max(1, EVALUATIONS_OF_BLOCK // len(flag_keys))
    for organization in state.organizations():
        compiled = state.definitions.compiled_flags(organization.states, environment)
        decisions = [compiled[key].decide for key in flag_keys]
        for start in range(0, len(pairs), at_once):
            some = pairs[start : start + at_once]
            resolutions = [decide(organization, user, key) for user, key in some for decide in decisions]
            yield (organization, users[start : start + at_once], resolutions), start + at_once >= len(pairs)


def _with_progress(run: Run, blocks: Iterator[tuple[Block, bool]]) -> Iterator[Block]:
    """Yield the blocks, and record how many organizations are done, twice a second. Raises like `Run.check`."""
    done, recorded_at = 0, time.monotonic()
    for block, is_last in blocks:
        yield block
        done += is_last
        if time.monotonic() - recorded_at > PROGRESS_SECONDS:
            _record(run, done)
            run.check()
            done, recorded_at = 0, time.monotonic()
    _record(run, done)
    run.check()


def _record(run: Run, done: int) -> None:
    with transaction.atomic():
        run.record_progress(processed=done)


def _write_manifest(run: Run, state: FrozenState, users: Sequence[str], counts: FlagCounts, parts: Parts) -> None:
    """Write what the parts are of, as an artifact and in short as the result of the job."""
    arguments, of_flags = run.job.arguments, counts.of_flags()
    total = sum((each for each in of_flags.values()), Counter[str]())
    summary = {
        "at": state.at.isoformat(),
        "organizations": state.organization_count,
        "users": 0 if users is NO_USER else len(users),
        "evaluations": total.total(),
        **{outcome: total[outcome] for outcome in OUTCOMES},
        "parts": len(parts.finished),
    }
    manifest = summary | {
        "jobId": run.job.root_id,
        "organizationId": run.job.organization_id,
        "environment": arguments["environment"],
        "format": arguments["format"],
        "definitions": {
            key: {
                "version": one.version,
                "newestChangeNumber": state.newest_changes.get(key),
                "isPrerequisite": key not in arguments["flags"],
                **{outcome: of_flags[key][outcome] for outcome in OUTCOMES if key in of_flags},
            }
            for key, one in sorted(state.needed.items())
        },
        "definitionsFingerprint": state.definitions.fingerprint.hex(),
        "parts": [
            {"name": part.name, "evaluations": part.rows, "bytes": part.size, "sha256": part.sha256}
            for part in parts.finished
        ],
    }
    with run.artifact(MANIFEST, "application/json") as file:
        file.write(json.dumps(manifest, indent=2, ensure_ascii=False).encode())
    run.set_result(summary)
