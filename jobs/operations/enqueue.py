"""Enqueue a job of any kind that people and programs may enqueue. Every channel calls `enqueue_for` or `enqueue`."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any
from uuid import uuid4

import jsonschema
from django.db import IntegrityError, transaction
from django.utils import timezone

from flagsite.core import actor
from flagsite.core.storable_text import is_storable_json
from jobs.engine import at_once, lifecycle
from jobs.engine.kinds import JobKind, enqueueable_kinds, kind_named
from jobs.engine.lifecycle import Uniqueness
from jobs.engine.models import Job
from jobs.errors import InvalidJobArguments, UnknownKind
from jobs.operations import gates, replacing
from jobs.operations.argument_words import MOST_ERRORS, errors_in_words
from jobs.operations.priorities import check_priority
from orgs.access import requesters
from orgs.access.caller import Caller
from orgs.access.visible_organizations import OrganizationName, find_visible_organization
from orgs.audit import audit_log
from orgs.errors import NoLongerAllowed, OutsideOfYourSubtree, RoleNeeded

PRIORITIES = {Job.Trigger.EVENT: 10, Job.Trigger.ADMIN: 5, Job.Trigger.SCHEDULE: 0}
"""The priority of a job by what has enqueued it, unless the request names another one."""
TRIGGER_CHOICES = [(trigger.value, trigger.label) for trigger in PRIORITIES]
"""What people and programs may name as the trigger of a job, with the words for it."""

OTHER_NAMES = {"etl": "organization_import", "batch-prediction": "batch_evaluation", "retraining": "recalculation"}
"""Names under which other systems know a kind, for the addresses of HTTP."""
HAS_OWN_KEY = "Jobs of the kind {} that are due now have a key of their own, so that the same work is open once only. \
Leave this out."
MAX_UNIQUE_KEY_LENGTH, MAX_CORRELATION_ID_LENGTH = 100, 128


@dataclass(frozen=True, slots=True)
class Enqueued:
    """The job that does the work, and whether it was there already because of its unique key."""

    job: Job
    is_deduplicated: bool = False
    is_replaced: bool = False
    """Whether the job that was there waits with what this request asks for."""
    is_inline: bool = False
    """Whether the job has run at once in this process, because a gate of the queue is off."""


def enqueue_for(
    caller: Caller,
    *,
    kind: str,
    queue: str = "",
    organization: OrganizationName | None = None,
    unique_key: str = "",
    unique_while: str = "",
    **options: Any,
) -> Enqueued:
    """Enqueue a job in the name of a caller, which stays within its scope. `options` are those of `enqueue`.

    Without `organization`, the job works for what the caller sees. A caller with a scope may enqueue the kinds that
    work for one organization, in their own queues, has unique keys of its own, and gives no priority above that of an
    event. Raises the errors of `enqueue`,
    RoleNeeded, OutsideOfYourSubtree, OrganizationNotFound, OrganizationAmbiguous.
    """
    kind = check_may_enqueue(caller, kind, options.get("arguments") or {}).name
    if caller.organization_id is not None and queue:
        raise OutsideOfYourSubtree("You are bound to an organization, and all organizations share the queues.")
    check_priority(caller, options.get("priority"))
    organization_id = caller.organization_id
    if organization is not None:
        organization_id = find_visible_organization(caller, organization).pk
    unique = None
    if unique_key:
        key = f"{caller.organization_id or 'all'}:{kind}:{unique_key}"
        unique = Uniqueness(key, Job.Uniqueness(unique_while or Job.Uniqueness.OPEN))
    return enqueue(kind=kind, queue=queue, organization_id=organization_id, by=caller.name, unique=unique, **options)


def enqueue(
    *,
    kind: str,
    queue: str = "",
    arguments: Mapping[str, Any] | None = None,
    trigger: Job.Trigger = Job.Trigger.ADMIN,
    organization_id: int | None = None,
    by: str = "",
    reason: str = "",
    priority: int | None = None,
    run_at: datetime | None = None,
    start_within: timedelta | None = None,
    correlation_id: str = "",
    unique: Uniqueness | None = None,
    replace: bool = False,
) -> Enqueued:
    """Check the arguments by the schema of the kind, and create a job, or find the open one with the same unique key.

    With `replace`, the one that was found gets what this request asks for, unless an attempt of it has begun.
    `by` is the actor, `organization_id` the organization for which the job works, and `run_at` the time at which the
    job is due; None means now. `priority` None takes the one of the trigger. The job waits in `queue`, or in the queue
    of its kind. If a gate of the queue is off, a job that is due runs before the function returns, for 30 seconds at
    most (`jobs.operations.gates`). Raises UnknownKind, UnknownQueue, InvalidJobArguments, and the errors of the kind's
    own check.
    """
    job_kind = enqueueable(kind)
    kind = job_kind.name
    if queue and queue != job_kind.queue and job_kind.concurrency_key is not None:
        words = f"Jobs of the kind {kind} wait in the queue {job_kind.queue} only, which keeps their limits."
        raise InvalidJobArguments({"queue": words})
    if organization_id is not None and not job_kind.of_organization:
        raise InvalidJobArguments({"organizationId": work_for_all(job_kind)})
    values = checked_arguments(job_kind, arguments or {})
    context = actor.current()
    RequestChecks(by or context.actor).check(job_kind, values, organization_id=organization_id)
    if replace:
        replacing.check_may_be_replaced(job_kind, unique.key if unique else "")
    unique = _uniqueness(job_kind, own_key(job_kind, values, run_at), unique)
    unit = correlation_id or context.correlation_id or uuid4().hex
    is_inline = _runs_at_once(Job.Trigger(trigger), run_at, organization_id=organization_id, unit=unit)
    columns: dict[str, Any] = {
        "queue": queue, "arguments": values, "organization_id": organization_id,
        "requested_by": by or context.actor, "correlation_id": correlation_id or context.correlation_id,
        "reason": reason, "priority": PRIORITIES[trigger] if priority is None else priority, "trigger": trigger,
        "run_at": run_at, "start_within": start_within, "unique": unique,
    }  # fmt: skip
    while True:
        try:
            return Enqueued(_create(job_kind, is_inline=is_inline, **columns), is_inline=is_inline)
        except IntegrityError:
            if unique is None:
                raise
        if replace and (replaced := replacing.replace_waiting(job_kind, is_inline=is_inline, **columns)) is not None:
            return Enqueued(replaced, is_deduplicated=True, is_replaced=True, is_inline=is_inline)
        same = Job.objects.filter(unique_key=unique.key).first()
        if same is not None:  # else it has ended meanwhile, and the key is free
            return Enqueued(same, is_deduplicated=True)


def _uniqueness(kind: JobKind, own: str | None, named: Uniqueness | None) -> Uniqueness | None:
    """Return the key of a job: its own one by its kind, or the one that the request names. Raises InvalidJobArguments.

    A job has one key only, and another one would let the same work be open twice.
    """
    if own is None:
        return named
    if named is not None:
        raise InvalidJobArguments({"uniqueKey": HAS_OWN_KEY.format(kind.name)})
    return Uniqueness(own)


def own_key(kind: JobKind, arguments: Mapping[str, Any], run_at: datetime | None) -> str | None:
    """Return the unique key that the kind gives to a job with these arguments, or None.

    A job for a later time gets none. Else a job that is due in a month would keep all earlier ones from running.
    """
    if kind.unique_key is None or (run_at is not None and run_at > timezone.now()):
        return None
    return kind.unique_key(arguments)


def work_for_all(kind: JobKind) -> str:
    """Return what to tell somebody who names an organization for a kind that works for all of them."""
    return f"Jobs of the kind {kind.name} work for all organizations. Leave this out."


def _create(kind: JobKind, *, is_inline: bool, **columns: Any) -> Job:
    """Create the job with its audit entry. If it runs inline, run it after the commit. Raises IntegrityError."""
    with transaction.atomic():
        job = lifecycle.create(kind=kind.name, wakes=not is_inline, **columns)
        if kind.created is not None:
            kind.created(job)
        audit_log.record(
            "job.enqueue", f"job:{job.pk}", by=job.requested_by, organization_id=job.organization_id,
            reason=job.reason, kind=kind.name, trigger=str(job.trigger), **({"inline": True} if is_inline else {}),
        )  # fmt: skip
        if is_inline:
            transaction.on_commit(partial(at_once.run_at_once, job.pk))
    if is_inline:
        job.refresh_from_db()
    return job


def _runs_at_once(trigger: Job.Trigger, run_at: datetime | None, *, organization_id: int | None, unit: str) -> bool:
    is_due = run_at is None or run_at <= timezone.now()
    return is_due and not gates.is_open(trigger, organization_id=organization_id, unit=unit)


def check_may_enqueue(caller: Caller, kind: str, arguments: Mapping[str, Any]) -> JobKind:
    """Return the kind, if the caller may enqueue a job of it with these arguments.

    Raises UnknownKind, RoleNeeded, or OutsideOfYourSubtree for a kind that works for all organizations.
    """
    job_kind = enqueueable(kind)
    check_role(caller, job_kind, arguments)
    if caller.organization_id is not None and not job_kind.of_organization:
        raise OutsideOfYourSubtree(
            f"You are bound to an organization, and all organizations share what a job of the kind {job_kind.name} "
            "does."
        )
    return job_kind


def check_role(caller: Caller, kind: JobKind, arguments: Mapping[str, Any]) -> None:
    """Check that the caller's role is enough to enqueue a job with these arguments. Raises RoleNeeded."""
    needed = kind.role_for(arguments)
    if needed is not None and not caller.may(needed):
        raise RoleNeeded(f"Your role is {caller.role.value}, and this job needs {needed.value}.")


def enqueueable(kind: str) -> JobKind:
    """Return the kind with this name, if people and programs may enqueue its jobs. Raises UnknownKind."""
    names = [each.name for each in enqueueable_kinds()]
    kind = OTHER_NAMES.get(kind, kind) if kind not in names else kind
    if kind not in names:
        raise UnknownKind(f"No job of the kind {kind!r} can be enqueued. The kinds are: {', '.join(names)}.")
    return kind_named(kind)


class RequestChecks:
    """Lets kinds check what the actor `by` requests at once. Equal requests are checked once, for all their jobs.

    An actor that has no access to Flagsite any more may request nothing that is checked.
    """

    def __init__(self, by: str) -> None:
        self._by = by
        self._done: set[tuple[str, int | None, str]] = set()

    def check(self, kind: JobKind, arguments: Mapping[str, Any], *, organization_id: int | None) -> None:
        """Let the kind check a request with checked arguments. Raises the errors of the kind, or RoleNeeded."""
        if kind.check is None:
            return
        same = (kind.name, organization_id, json.dumps(arguments, sort_keys=True))
        if same not in self._done:
            kind.check(self._requester, organization_id, arguments)
            self._done.add(same)

    @functools.cached_property
    def _requester(self) -> Caller:
        try:
            return requesters.caller_named(self._by)
        except NoLongerAllowed as error:
            raise RoleNeeded(f"{self._by} may not request this: {error.detail}.") from error


def checked_arguments(kind: JobKind, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a job with the defaults of the kind's schema. Raises InvalidJobArguments."""
    values = with_defaults(kind, arguments)
    check_is_storable(values)
    errors: dict[str, str] = {}
    for path, message in argument_errors(kind, values):
        errors.setdefault(".".join(["arguments", *path]), message)
    if errors:
        raise InvalidJobArguments(errors)
    values = {name: _whole(value) for name, value in values.items()}
    if kind.check_arguments is not None:
        kind.check_arguments(values)
    return values


def _whole(value: Any) -> Any:
    """Return the value with 4.0 as 4, which is the same number in JSON, but not in SQL and in Python."""
    if isinstance(value, Mapping):
        return {name: _whole(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_whole(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def with_defaults(kind: JobKind, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments, and for those that are missing the defaults of the kind's schema."""
    properties = dict(kind.arguments or {}).get("properties", {})
    return {name: part["default"] for name, part in properties.items() if "default" in part} | dict(arguments)


def check_is_storable(arguments: Mapping[str, Any]) -> None:
    """Check that PostgreSQL can store the arguments as JSON. Raises InvalidJobArguments."""
    if not is_storable_json(arguments):
        raise InvalidJobArguments({"arguments": "NUL, NaN, infinite numbers and half characters cannot be stored."})


def argument_errors(kind: JobKind, values: Mapping[str, Any]) -> list[tuple[tuple[str, ...], str]]:
    """Return what does not fit the kind's schema: the path to each wrong value, and what is wrong with it.

    These are the first MOST_ERRORS errors, and a long value is not a part of the message.
    """
    errors = islice(_validator(kind.name, id(kind.arguments)).iter_errors(values), MOST_ERRORS)
    return errors_in_words(errors)


def _all_differ(_: Any, is_wanted: bool, items: Any, __: Any) -> Iterator[jsonschema.ValidationError]:
    """Check `uniqueItems` in one pass. The library compares each item with each other one, which may take hours."""
    if is_wanted and isinstance(items, list) and len({json.dumps(item, sort_keys=True) for item in items}) < len(items):
        yield jsonschema.ValidationError("Two items are the same.")


_Validator: Any = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"uniqueItems": _all_differ})


@functools.cache
def _validator(kind: str, _: int) -> Any:
    """Return what checks the arguments of a kind. Making it takes longer than a check, of which a batch has many."""
    schema = dict(kind_named(kind).arguments or {})
    return _Validator(schema, format_checker=jsonschema.FormatChecker())
