"""The job that deletes an organization with everything below it, if these are too many for one request.

It deletes from the end of the subtree, in the order of the tree. So each step deletes organizations without leaving
any organization below them behind, and the tree is sound after every step. Between two steps others change the tree.
What they create below the organization meanwhile is deleted too, and what they move away stays. If somebody cancels the
job, the rest stays. A retry goes on with what is left.
"""

from __future__ import annotations

import time

import structlog
from django.db import transaction
from django.db.models import Sum

from flagsite.core import actor
from jobs.engine import lifecycle
from jobs.engine.kinds import DEFAULT_STALL_SECONDS, job_kind
from jobs.engine.lifecycle import Uniqueness
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.errors import NothingLeftToDo, PermanentFailure
from jobs.operations import requester_rights
from orgs.access.models import Role
from orgs.access.removal import check_without_staff
from orgs.audit import audit_log
from orgs.errors import OrganizationHasStaff
from orgs.tree import locks
from orgs.tree.large_changes import Request
from orgs.tree.models import Organization

log = structlog.get_logger(__name__)
KIND = "organization_deletion"
FIRST_STEP, SMALLEST_STEP, LARGEST_STEP = 250, 10, 1_000
"""Organizations that one step deletes. Those with many flag states take longer than others."""
STEP_SECONDS = 0.2
"""A step that takes longer makes the next one smaller, so that nobody waits long for the tree."""


def start(organization: Organization, request: Request) -> int:
    """Create the job, or find the open one of the same organization; returns its id.

    The caller holds the tree lock. The job belongs to the parent, because people who may see the organization have to
    see its job when the organization is gone.
    """
    key = f"{KIND}:{organization.pk}"
    same = Job.objects.filter(unique_key=key).first()
    if same is not None:
        return same.pk
    arguments = {
        "organizationId": organization.pk, "organizationKey": organization.key, "name": organization.name,
        "reason": request.reason, "via": request.channel, "address": request.address,
    }  # fmt: skip
    job = lifecycle.create(
        kind=KIND,
        organization_id=organization.parent_id,
        arguments=arguments,
        total=organization.subtree.size,
        requested_by=request.by,
        correlation_id=actor.current().correlation_id,
        unique=Uniqueness(key),
    )
    return job.pk


def record_end(job: Job, status: str) -> None:
    """Record in the audit log how many organizations the chain has deleted, when it ends in whatever way."""
    deleted = Job.objects.of_chain(job.root_id).order_by().aggregate(deleted=Sum("processed"))["deleted"]
    if not deleted:
        return
    arguments = job.arguments
    context = {"address": arguments["address"], "reason": arguments["reason"]}
    with actor.acting(arguments["via"], actor=job.requested_by, **context):
        audit_log.record(
            "organization.delete", f"organization:{arguments['organizationKey']}",
            organization_id=arguments["organizationId"], name=arguments["name"], organizations=deleted,
            jobId=job.root_id, status=status,
        )  # fmt: skip


@job_kind(
    KIND,
    summary="Delete an organization with everything below it, in steps.",
    stall_seconds=DEFAULT_STALL_SECONDS,
    on_end=record_end,
)
def delete(run: Run) -> None:
    """Delete the last organizations of the subtree again and again, until the organization itself is deleted.

    Raises NothingLeftToDo if it is gone, and PermanentFailure if the requester may no longer delete it, or if people
    are bound to one of the organizations by now.
    """
    size, done = FIRST_STEP, run.job.processed
    left = -1
    while left:
        run.check()
        began = time.monotonic()
        deleted, left = _step(run, size, done)
        done += deleted
        took = time.monotonic() - began
        size = min(LARGEST_STEP, size * 2) if took < STEP_SECONDS / 2 else size
        size = max(SMALLEST_STEP, size // 2) if took > STEP_SECONDS else size
    log.info("organizations_deleted", jobId=run.job.pk, organizations=done)


def _step(run: Run, most: int, done: int) -> tuple[int, int]:
    """Delete at most `most` organizations. Returns how many these were, and how many are left."""
    with transaction.atomic():
        locks.lock_trees_for_writing(run.job.arguments["organizationId"], check=run.check_while_waiting)
        organization = _find(run.reload())
        run.check()  # nothing can undo a step, so none follows a cancellation
        left = organization.subtree.size
        deleted = organization.delete_last(most)
        run.record_progress(processed=deleted, total=done + left)
    return deleted, left - deleted


def _find(job: Job) -> Organization:
    """Return the organization, if the requester may still delete it. Raises NothingLeftToDo or PermanentFailure."""
    organization = Organization.objects.filter(pk=job.arguments["organizationId"]).first()
    if organization is None:
        raise NothingLeftToDo("The organization is deleted already, so nothing is left to do.")
    requester_rights.check_may_still(
        job.requested_by,
        Role.ADMIN,
        organization_id=organization.parent_id,
        again="Somebody who may delete the organization can send the request again.",
    )
    try:
        check_without_staff(organization.subtree.stretch)
    except OrganizationHasStaff as error:
        raise PermanentFailure(error.detail) from error
    return organization
