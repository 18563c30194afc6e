"""The job that moves an organization with everything below it, if these are too many for one request.

The move is one transaction, because nobody may see a half of it. So an attempt that ends early has moved nothing, and
the next one moves everything. As for every move, another job then writes the flag states of the new parent.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction

from flagsite.core import actor
from flagsite.core.errors import FlagsiteError
from jobs.engine import lifecycle
from jobs.engine.kinds import job_kind
from jobs.engine.lifecycle import Uniqueness
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.engine.states import Status
from jobs.errors import NothingLeftToDo, PermanentFailure
from jobs.operations import requester_rights
from orgs.access import requesters
from orgs.access.models import Role
from orgs.access.visible_organizations import check_placement
from orgs.errors import OrganizationNotFound, OutsideOfYourSubtree
from orgs.tree import locks, tree_operations
from orgs.tree.large_changes import Request
from orgs.tree.models import Organization
from orgs.tree.move_options import DEFAULTS, MoveOptions

KIND = "organization_move"


def start(organization: Organization, parent_id: int | None, options: MoveOptions, request: Request) -> int:
    """Create the job, or find the open one for the same move; returns its id. The caller holds the tree locks."""
    key = f"{KIND}:{organization.pk}:{parent_id or 'root'}{':keeping' if options.keeps_values else ''}"
    same = Job.objects.filter(unique_key=key).first()
    if same is not None and not _is_outdated(same):
        return same.pk
    arguments = {
        "organizationKey": organization.key, "parentId": parent_id,
        "reason": request.reason, "via": request.channel, "address": request.address,
    }  # fmt: skip
    if options != DEFAULTS:
        arguments |= {
            "keepsValues": options.keeps_values, "atMost": options.at_most, "planHash": options.plan_hash,
        }  # fmt: skip
    job = lifecycle.create(
        kind=KIND,
        organization_id=organization.pk,
        arguments=arguments,
        total=organization.subtree.size,
        requested_by=request.by,
        correlation_id=actor.current().correlation_id,
        unique=None if same is not None else Uniqueness(key),
    )
    return job.pk


def _is_outdated(job: Job) -> bool:
    """Return whether somebody has asked for another place of the same organization later."""
    of_organization = Job.objects.filter(kind=KIND, organization_id=int(job.organization_id or 0))
    later = of_organization.filter(parent_job=None, pk__gt=job.root_id)
    return later.exclude(status__in=[Status.CANCELLED, Status.FAILED]).exists()


def _concurrency_key(organization_id: int | None, arguments: Any) -> str:
    return str(organization_id)


@job_kind(
    KIND,
    summary="Move an organization with everything below it below another parent.",
    concurrency_key=_concurrency_key,
)
def move(run: Run) -> None:
    """Move the organization, if its requester still may, and record the jobs that write its flag states as the result.

    Raises NothingLeftToDo if the organization is gone, or if a later request names another place. Raises
    PermanentFailure if the parent is gone or below the organization, if the requester may no longer move it there, or
    if the effect is no longer what the requester agreed to.
    """
    arguments = run.job.arguments
    with transaction.atomic():
        locks.lock_trees_for_writing(run.job.organization_id, arguments["parentId"], check=run.check_while_waiting)
        job = run.reload()
        organization = _find(job)
        run.check()  # nothing was written until now
        size = organization.subtree.size
        context = {"address": arguments["address"], "reason": arguments["reason"]}
        with actor.acting(arguments["via"], actor=job.requested_by, **context):
            try:
                moved = tree_operations.move(
                    organization_id=organization.pk, parent_id=arguments["parentId"], options=_options_of(arguments)
                )
            except FlagsiteError as error:  # the parent is below it now, or the effect is not what the caller knows
                raise PermanentFailure(error.detail) from error
        run.record_progress(processed=size, total=size)
    kept = {"kept": [each.flag_key for each in moved.kept_values]} if moved.kept_values else {}
    run.set_result({"jobs": list(moved.placement_jobs), **kept})


def _options_of(arguments: dict[str, Any]) -> MoveOptions:
    """Return the options of the request. Jobs of an earlier version have none."""
    return MoveOptions(arguments.get("keepsValues", False), arguments.get("atMost"), arguments.get("planHash", ""))


def _find(job: Job) -> Organization:
    """Return the organization, if the job still has to move it. Raises NothingLeftToDo or PermanentFailure."""
    organization = Organization.objects.filter(pk=job.organization_id).first()
    if organization is None:
        raise NothingLeftToDo("The organization was deleted in the meantime, so nothing is left to do.")
    if _is_outdated(job):
        raise NothingLeftToDo("A later request names another place for the organization, so nothing is left to do.")
    again = "Somebody who may move the organization can send the request again."
    requester_rights.check_may_still(job.requested_by, Role.ADMIN, organization_id=organization.pk, again=again)
    caller, parent_id = requesters.caller_named(job.requested_by), job.arguments["parentId"]
    try:
        check_placement(caller, organization_id=organization.pk, parent=parent_id)
    except OrganizationNotFound as error:
        raise PermanentFailure("The new parent does not exist any more, or has left the own subtree.") from error
    except OutsideOfYourSubtree as error:
        raise PermanentFailure(error.detail) from error
    return organization
