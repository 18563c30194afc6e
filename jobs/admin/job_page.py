"""The contents of the page of one job: its status, its chain, the organizations that failed, and its audit entries."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Q
from django.http import HttpResponse, JsonResponse
from django.urls import reverse

from flagsite.core.ids import id_in
from jobs.admin.job_rows import rows_of, writes_states
from jobs.artifacts.models import Artifact
from jobs.batches.operations import batches_of
from jobs.engine.chains import Standing, artifacts_of_chains, attempts, failures_of
from jobs.engine.kinds import enqueueable_kinds, find_kind
from jobs.engine.models import Job, JobFailure
from jobs.engine.states import FINAL, OPEN, Status
from jobs.imports import import_job
from jobs.imports.models import OrganizationImport
from jobs.metrics import probe_job
from jobs.notifications.deliveries import visible_deliveries
from jobs.operations import bulk, bulk_job, cleanup, job_operations
from jobs.operations.bulk import OPERATIONS
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tree.models import Organization
from orgs.tree.paths import path_names_of

FAILURES_PER_PAGE = 50
SECRET_COLUMNS = {"lease_token"}
ADMIN_COLUMNS = {"error_traceback"}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt in the timeline of a chain, with the time for which it waited for a worker."""

    job: Job
    waited: timedelta | None
    is_current: bool
    """Whether the page shows this attempt."""


def live(job: Job, caller: Caller, *, may_operate: bool) -> dict[str, Any]:
    """The template context of the part of the page that changes while the job's chain is open."""
    chain = attempts(job)
    row = rows_of([job], caller, may_operate=may_operate)[job.pk]
    return {
        "job": job,
        "row": row,
        "timeline": [Attempt(attempt, _waited(attempt), attempt.pk == job.pk) for attempt in chain],
        "version": _version(chain, row.paused_by),
        "is_open": any(attempt.status in {*OPEN, Status.RETRYING} for attempt in chain),
        "results": _results(job, row.standing),
        "result": _as_json(row.standing.result),
        "artifacts": _artifacts(chain[0], caller),
        "shows_traceback": caller.may(Role.ADMIN),
        "may_operate": may_operate,
        "undo_address": _undo_address(job, caller),
    }


undo_finders: list[Callable[[Job, Caller], str | None]] = []
"""Functions of other apps that return the address of the page that undoes the change of a job, or None."""


def _undo_address(job: Job, caller: Caller) -> str | None:
    return next((address for find in undo_finders if (address := find(job, caller))), None)


def context(job: Job, caller: Caller, query: Mapping[str, str], *, may_operate: bool) -> dict[str, Any]:
    """The template context of the whole page.

    In `query`, `failed` is the text to search for in the failures, and `after` is the id of the organization after
    which the list of failures begins.
    """
    live_part = live(job, caller, may_operate=may_operate)
    subjects = [f"job:{attempt.job.pk}" for attempt in live_part["timeline"]]
    failures, more = _failures(job, caller, query)
    return {
        **live_part,
        "arguments": _as_json(job.arguments or None),
        "related": _related(job, caller, live_part["row"].standing.result),
        "batch": batches_of(caller).filter(pk=job.batch_id).first() if job.batch_id else None,
        "path": " › ".join(live_part["row"].path or []),
        "failures": failures,
        "more_failures": failures[-1][0].organization_id if more else None,
        "failures_query": query.get("failed", ""),
        "left_organizations": job_operations.left_behind(job),
        "entries": AuditEntry.objects.filter(subject__in=subjects).order_by("-id")[:100],
    }


def raw(job: Job, caller: Caller) -> HttpResponse:
    """The job's row as JSON, without the fencing token. Only administrators get the traceback."""
    hidden = SECRET_COLUMNS if caller.may(Role.ADMIN) else SECRET_COLUMNS | ADMIN_COLUMNS
    columns = {field.attname: getattr(job, field.attname) for field in Job._meta.concrete_fields}
    shown = {name: value for name, value in columns.items() if name not in hidden}
    return JsonResponse(shown, encoder=DjangoJSONEncoder, json_dumps_params={"indent": 2, "ensure_ascii": False})


def _related(job: Job, caller: Caller, result: Any) -> list[tuple[str, str, str]]:
    """The pages about what the job has made or sent: the label, the address and the text of each link."""
    links, kind = [], find_kind(job.kind)
    if kind is not None and kind.page and caller.may(kind.role_for(job.arguments) or kind.page_role):
        what = "Import" if kind.name == import_job.KIND else kind.name.capitalize()
        links.append((what, reverse(kind.page, args=[job.root_id]), "page and files"))
    delivery_id = job.arguments.get("deliveryId")
    if delivery_id and caller.may(Role.OPERATOR) and visible_deliveries(caller).filter(pk=delivery_id).exists():
        address = reverse("admin:jobs_delivery_change", args=[delivery_id])
        links.append(("Delivery", address, f"{delivery_id}: recipient and message"))
    batch_id = result.get("batchId") if isinstance(result, dict) else None
    if batch_id and batches_of(caller).filter(pk=batch_id).exists():
        links.append(("Result", reverse("admin:jobs_batch_change", args=[batch_id]), f"batch {batch_id}"))
    return links


def _failures(job: Job, caller: Caller, query: Mapping[str, str]) -> tuple[Sequence[tuple[JobFailure, str]], bool]:
    """The next failures by organization id, each with the organization's path, and whether more failures follow."""
    rows = failures_of(caller, job).filter(organization_id__gt=id_in(query.get("after", "")) or 0)
    term = query.get("failed", "").strip()
    if term:
        named = Organization.objects.filter(Q(key=term) | Q(name__icontains=term)).values("pk")
        rows = rows.filter(Q(error__icontains=term) | Q(organization_id__in=named))
    next_rows = list(rows.order_by("organization_id")[: FAILURES_PER_PAGE + 1])
    failures = next_rows[:FAILURES_PER_PAGE]
    paths = path_names_of([failure.organization_id for failure in failures], top_id=caller.organization_id)
    return [
        (failure, " › ".join(paths.get(failure.organization_id, [f"{failure.organization_id}, deleted"])))
        for failure in failures
    ], len(next_rows) > FAILURES_PER_PAGE


def _results(job: Job, standing: Standing) -> list[tuple[str, int]]:
    """The counts of the work's results, each with its label; an empty list for a kind of job that counts nothing."""
    if job.kind == bulk_job.KIND:
        result = bulk_job.result_of(job)
        skipped = [
            (f"skipped: {bulk.skip_clause(reason, count)}", count) for reason, count in result.skipped.most_common()
        ]
        return [(f"jobs {OPERATIONS[job.arguments['deed']].participle}", result.count), *skipped]
    if job.kind == cleanup.KIND:
        deleted = (job.checkpoint or {}).get("deleted", {})
        return [(f"{name} {'jobs ' if name in Status else ''}deleted", count) for name, count in deleted.items()]
    if job.kind == import_job.KIND:
        record = OrganizationImport.objects.filter(pk=job.root_id, rows__isnull=False).first()
        return [(name, getattr(record, name)) for name in import_job.COUNTS[1:]] if record else []
    if job.kind == probe_job.KIND:
        return []
    if job.kind in {kind.name for kind in enqueueable_kinds()}:
        counts = [("done", standing.processed), ("failed", standing.failed)]
        return counts if standing.processed or standing.failed else []
    if not writes_states(job):
        return []
    return [
        ("changed", max(0, standing.processed - standing.superseded - standing.unchanged)),
        ("had the value already", standing.unchanged),
        ("had a newer value", standing.superseded),
        ("failed", standing.failed),
    ]


def _artifacts(first: Job, caller: Caller) -> Sequence[Artifact]:
    """The artifacts of the chain, for a person who may download them."""
    if not caller.may(Role.OPERATOR) or first.status not in FINAL:
        return ()
    return artifacts_of_chains([first.pk]).get(first.pk, ())


def _as_json(result: Any) -> str:
    """The result of a job as JSON for people; the empty text if it has none."""
    return "" if result is None else json.dumps(result, ensure_ascii=False, indent=2)


def _version(chain: Sequence[Job], paused_by: str) -> str:
    """A text that differs after every change. As long as it stays the same, the browser keeps what it shows."""
    return f"{len(chain)}-{max(job.updated_at for job in chain).timestamp()}-{len(paused_by)}"


def _waited(job: Job) -> timedelta | None:
    return job.started_at - job.run_at if job.started_at and job.started_at > job.run_at else None
