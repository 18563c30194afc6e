"""The job that lets all processes read again what they cache, for the end of a batch and for periodic tasks."""

from __future__ import annotations

from typing import Any

from flags.serving.operator_invalidation import invalidate
from flagsite.core import actor
from jobs.engine.kinds import DEFAULT_ATTEMPT_SECONDS, job_kind
from jobs.engine.run import Run
from jobs.errors import PermanentFailure
from orgs.access.caller import Caller
from orgs.access.models import Role

KIND = "cache-invalidation"
MAX_NAMES = 100
ARGUMENTS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "all": {"type": "boolean", "title": "Everything", "description": "All that is cached.", "default": False},
        "organizationIds": {
            "type": "array",
            "title": "Organizations",
            "description": "These organizations with everything below them.",
            "items": {"type": "integer", "minimum": 1, "maximum": 2**63 - 1},
            "maxItems": MAX_NAMES,
            "default": [],
        },
        "featureFlags": {
            "type": "array",
            "title": "Flags",
            "description": "The keys of flags.",
            "items": {"type": "string", "maxLength": 255},
            "maxItems": MAX_NAMES,
            "default": [],
        },
    },
    "additionalProperties": False,
}


@job_kind(
    KIND,
    summary="Let all processes read again what they cache.",
    arguments=ARGUMENTS,
    attempt_seconds=DEFAULT_ATTEMPT_SECONDS,
)
def invalidate_as_job(run: Run) -> None:
    """Invalidate each part that exists. The result names what was invalidated, and what was not, with the reasons.

    Parts that failed do not keep the others from being invalidated, and count as failed. If there is nothing else, the
    job is FAILED: a retry would not help. Raises PermanentFailure.
    """
    given = run.job.arguments
    result = invalidate(
        Caller(run.job.requested_by or actor.SYSTEM, Role.ADMIN),
        everything=given["all"],
        organizations=given["organizationIds"],
        flag_keys=given["featureFlags"],
    )
    if result.failed and not result.done:
        reasons = "; ".join(str(part["reason"]) for part in result.failed[:3])
        raise PermanentFailure(f"Nothing could be invalidated: {reasons}")
    run.set_result({"done": result.done, "failed": result.failed, "complete": not result.failed})
