"""Requests of people and programs for batches, as JSON documents: every channel reads them with these functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rest_framework.exceptions import ValidationError

from flagsite.core.api.input import WriteInput
from flagsite.core.errors import FlagsiteError
from jobs.batches.creation import Callback, CreatedBatch, Member, add_members, create_batch
from jobs.batches.models import Batch, FailurePolicy
from jobs.batches.serializers import BatchInput
from jobs.engine.models import Job
from jobs.errors import InvalidBatch
from jobs.operations.enqueue import check_may_enqueue
from jobs.operations.priorities import check_priority
from orgs.access.caller import Caller
from orgs.access.visible_organizations import find_visible_organization, find_visible_organizations


def checked(document: Any, form: type[WriteInput] = BatchInput) -> dict[str, Any]:
    """Return the values of a document, which looks like the body of POST /v1/queue/batches. Raises InvalidBatch.

    `form` is the form of another body.
    """
    serializer = form(data=document)
    try:
        serializer.is_valid(raise_exception=True)
    except ValidationError as error:
        raise InvalidBatch(" ".join(_sentences(error.detail))) from None
    return {name: value for name, value in serializer.validated_data.items() if name != "reason"}


def create_for(caller: Caller, values: Mapping[str, Any], *, reason: str = "") -> CreatedBatch:
    """Create the batch of a valid document for this caller.

    A bound caller uses kinds that work for one organization, and its batch belongs to its subtree. Raises the errors
    of `members_for` and of `create_batch`.
    """
    given = dict(values)
    check_priority(caller, given.get("priority"))
    members = members_for(caller, given.pop("members"))
    named, on_finish = given.pop("organization", None), given.pop("on_finish", None)
    if on_finish:
        on_finish = _with_kind(caller, on_finish)
    given["failure_policy"] = FailurePolicy(given.get("failure_policy", FailurePolicy.WAIT_FOR_ALL))
    given["trigger"] = Job.Trigger(given["trigger"])
    return create_batch(
        given.pop("name"),
        members,
        organization_id=caller.organization_id if named is None else find_visible_organization(caller, named).pk,
        on_finish=Callback(**on_finish) if on_finish else None,
        by=caller.name,
        reason=reason,
        **given,
    )


def add_for(caller: Caller, batch_id: int, values: Mapping[str, Any], *, reason: str = "") -> Batch:
    """Add the members of a valid document to a batch. Raises the errors of `members_for` and `add_members`."""
    return add_members(batch_id, members_for(caller, values["members"]), by=caller.name, reason=reason)


def members_for(caller: Caller, given: Sequence[Mapping[str, Any]]) -> list[Member]:
    """Return the members in a valid document, for this caller.

    Raises UnknownKind, RoleNeeded, OutsideOfYourSubtree, or OrganizationNotFound for an organization that the caller
    may not see.
    """
    given = [_with_kind(caller, member) for member in given]
    named = [member.get("organization") for member in given]
    ids = {}
    for reference, found in find_visible_organizations(caller, {each for each in named if each is not None}):
        if isinstance(found, FlagsiteError):
            raise found
        ids[reference] = found.pk
    return [
        Member(
            **{name: value for name, value in member.items() if name != "organization"},
            organization_id=ids[reference] if reference else None,
        )
        for member, reference in zip(given, named, strict=True)
    ]


def _with_kind(caller: Caller, job: Mapping[str, Any]) -> dict[str, Any]:
    """Return a member or a callback with the own name of its kind, if the caller may enqueue such a job."""
    return {**job, "kind": check_may_enqueue(caller, job["kind"], job.get("arguments", {})).name}


def _sentences(errors: Any, place: str = "") -> list[str]:
    """Return the messages of a ValidationError, each with the place in the document."""
    if isinstance(errors, Mapping):
        return [text for name, inner in errors.items() for text in _sentences(inner, f"{place}.{name}".lstrip("."))]
    return [f"{place}: {message}" for message in errors]
