"""The job that imports organizations from an uploaded file, or checks the file in a dry run.

The import is one transaction. So an attempt that ends early has changed nothing, and the next attempt begins anew with
the stored file.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, BinaryIO

from django.db import connection, transaction
from django.db.models import Q

from flagsite.core import actor
from jobs.artifacts import files
from jobs.artifacts.models import Artifact
from jobs.artifacts.uploads import check_room, find_upload
from jobs.engine import lifecycle
from jobs.engine.chains import Chain, chain_of, job_for
from jobs.engine.kinds import job_kind
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.engine.states import Status
from jobs.errors import (
    ArtifactNotFound,
    ImportFileGone,
    ImportNotApplicable,
    ImportNotFound,
    InvalidJobArguments,
    PermanentFailure,
)
from jobs.imports import stored_file
from jobs.imports.models import ImportFile, ImportLine, OrganizationImport
from jobs.imports.progress import ImportProgress
from jobs.imports.report import csv_report
from jobs.operations import requester_rights
from orgs.access import requesters
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.audit import audit_log
from orgs.errors import ImportRefused, InvalidImportOption, NoLongerAllowed, OrganizationNotFound, RoleNeeded
from orgs.importing import importer, staging
from orgs.importing.importer import ImportReport
from orgs.importing.options import ENCODINGS, MAX_PREFIX_LENGTH, ImportOptions, columns_in

KIND = "organization_import"
COUNTS = ("rows", "created", "renamed", "moved", "attributes", "unchanged")
LINE_COLUMNS = "line, change, key, name, former_name, parent_key, former_parent_key"
BATCH_SIZE = 5_000
REPORT = "report.csv"
"""The artifact with the report."""
OPTIONS = {
    "columns": "columns", "key_prefix": "keyPrefix", "delimiter": "delimiter", "encoding": "encoding",
    "move_between_trees": "moveBetweenTrees",
}  # fmt: skip
"""The enqueued argument of each option."""
ARGUMENTS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "artifactId": {
            "type": "integer",
            "title": "File",
            "description": "The number of an artifact: CSV or an Excel workbook with key, name and parent_key.",
            "minimum": 1,
        },
        "dryRun": {
            "type": "boolean",
            "title": "Dry run",
            "description": "Only check the file; change nothing.",
            "default": False,
        },
        "columns": {
            "type": "string",
            "title": "Names of the columns",
            "description": "If they differ, such as key=code,name=title,parent_key=parent.",
            "maxLength": 1000,
            "default": "",
        },
        "keyPrefix": {
            "type": "string",
            "title": "Key prefix",
            "description": "Put before each key and parent_key of the file.",
            "maxLength": MAX_PREFIX_LENGTH,
            "default": "",
        },
        "delimiter": {
            "type": "string",
            "title": "Delimiter",
            "description": "Of a CSV file: one character, or comma, semicolon, tab or pipe.",
            "maxLength": 9,
            "default": ",",
        },
        "encoding": {
            "type": "string",
            "title": "Encoding",
            "description": f"Of a CSV file: {', '.join(ENCODINGS[:5])} or another one.",
            "maxLength": 40,
            "default": "utf-8",
        },
        "moveBetweenTrees": {
            "type": "boolean",
            "title": "Move between trees",
            "description": "Let organizations move to another tree.",
            "default": False,
        },
    },
    "required": ["artifactId"],
    "additionalProperties": False,
}
CHANGED_SINCE = "The tree has changed since the dry run, so the import would do something else. Check the file again."


def request(content: BinaryIO, *, name: str, options: ImportOptions, dry_run: bool, by: str) -> Job:
    """Store a file, and create the job that imports or checks it. Returns the job. Raises TooManyUploads."""
    with transaction.atomic():
        of_organization = ImportFile.objects.filter(Q(imports__job__organization_id=options.top_id)).distinct()
        check_room(of_organization, "files of imports", options.top_id)
        return _create(stored_file.store(content, name=name), options, dry_run=dry_run, by=by)


def apply_checked(checked: OrganizationImport, *, by: str) -> Job:
    """Create the job that does what a dry run has found. It changes nothing if the tree has changed since.

    Raises ImportNotApplicable unless the dry run has COMPLETED without problems, and ImportFileGone if the file is
    deleted by now.
    """
    if not checked.is_dry_run or checked.rows is None or chain_of(checked.job).status != Status.COMPLETED:
        raise ImportNotApplicable
    with transaction.atomic():
        file = ImportFile.objects.select_for_update().filter(imports=checked).first() or checked.artifact
        if file is None:
            raise ImportFileGone
        return _create(file, _options_of(checked.job), dry_run=False, by=by, digest=checked.digest)


def check(requester: Caller, organization_id: int | None, arguments: Mapping[str, Any]) -> None:
    """Check a request for an import of an artifact. Raises RoleNeeded, ArtifactNotFound, InvalidJobArguments."""
    if not requester.may(Role.ADMIN):
        raise RoleNeeded("An import of organizations needs the role admin.")
    find_upload(requester, arguments["artifactId"])
    try:
        _options_in(arguments, organization_id)
    except InvalidImportOption as error:
        place = f"arguments.{OPTIONS.get(error.option, error.option)}"
        raise InvalidJobArguments({place: error.detail}) from error


def created(job: Job) -> None:
    """Add the import of a job that was enqueued for an artifact."""
    artifact = Artifact.objects.get(pk=job.arguments["artifactId"])
    _add_import(job, artifact, dry_run=job.arguments["dryRun"])


def _options_of(job: Job) -> ImportOptions:
    """Return the options of an import, however it was requested."""
    if "options" in job.arguments:
        return ImportOptions(**job.arguments["options"])
    return _options_in(job.arguments, job.organization_id)


def _options_in(arguments: Mapping[str, Any], organization_id: int | None) -> ImportOptions:
    """Return the options in enqueued arguments. Raises InvalidImportOption."""
    given = {ours: arguments[theirs] for ours, theirs in OPTIONS.items()}
    return ImportOptions(**{**given, "columns": columns_in(given["columns"])}, below_id=organization_id)


def _create(file: ImportFile | Artifact, options: ImportOptions, *, dry_run: bool, by: str, digest: str = "") -> Job:
    context = actor.current()
    arguments = {
        "dryRun": dry_run, "options": options.as_json(), "file": file.name, "digest": digest, "by": by,
        "via": context.channel, "address": context.address, "reason": context.reason,
    }  # fmt: skip
    job = lifecycle.create(
        kind=KIND,
        organization_id=options.top_id,
        arguments=arguments,
        requested_by=by,
        correlation_id=context.correlation_id,
    )
    _add_import(job, file, dry_run=dry_run)
    return job


def _add_import(job: Job, file: ImportFile | Artifact, *, dry_run: bool) -> None:
    source = {"artifact": file} if isinstance(file, Artifact) else {"file": file}
    OrganizationImport.objects.create(job=job, is_dry_run=dry_run, **source)
    audit_log.record(
        "organizations.import_request", f"job:{job.pk}", by=job.requested_by, organization_id=job.organization_id,
        dryRun=dry_run, file=file.name, bytes=file.size,
    )  # fmt: skip


def import_for(caller: Caller, job_id: int) -> tuple[OrganizationImport, Chain]:
    """Return the import of any job of its chain, and the chain. Raises ImportNotFound or JobNotFound."""
    chain = chain_of(job_for(caller, job_id))
    found = OrganizationImport.objects.select_related("job").filter(pk=chain.root_job_id).first()
    if found is None:
        raise ImportNotFound
    return found, chain


@job_kind(
    KIND,
    summary="Create, rename and move organizations as an uploaded file says, or check the file in a dry run.",
    arguments=ARGUMENTS,
    page="admin:jobs_organizationimport_change",
    page_role=Role.READER,
    of_organization=True,
    check=check,
    created=created,
)
def import_file(run: Run) -> None:
    """Import the file of the job, or check it. A refused file, a deleted file and a changed tree are permanent."""
    record = _record_of(run.job)
    if record.rows is not None:  # an earlier attempt has imported the file, and died before it could say so
        _write_report(run, record)
        return
    if record.source is None:
        raise PermanentFailure(ImportFileGone().detail)
    progress = ImportProgress(run, file_size=record.source.size)
    progress.start()
    try:
        with _opened(record.source) as content:
            _import(run, record, content, progress)
        _write_report(run, record)
    except ImportRefused as refused:
        _store_refusal(run, record, refused)
        _write_report(run, record)
        if not record.is_dry_run:
            raise PermanentFailure(refused.detail) from refused
    except FileNotFoundError:
        raise PermanentFailure(ImportFileGone().detail) from None
    except OrganizationNotFound:
        raise PermanentFailure("The organization below which the import should go does not exist any more.") from None
    finally:
        progress.stop()


def _record_of(job: Job) -> OrganizationImport:
    """Return the import of the job. A job that neither a request nor a batch has made gets one now."""
    records = OrganizationImport.objects.select_related("file", "artifact")
    record = records.filter(pk=job.root_id).first()
    if record is None:
        try:
            check(requesters.caller_named(job.requested_by), job.organization_id, job.arguments)
        except (ArtifactNotFound, RoleNeeded, NoLongerAllowed, InvalidJobArguments) as error:
            raise PermanentFailure(error.detail) from error
        created(Job.objects.get(pk=job.root_id))
        record = records.get(pk=job.root_id)
    return record


def _opened(source: ImportFile | Artifact) -> AbstractContextManager[BinaryIO]:
    return files.opened(source.storage_key) if isinstance(source, Artifact) else stored_file.opened(source)


def _write_report(run: Run, record: OrganizationImport) -> None:
    """Write the lines that change something, or the problems, as an artifact of the job."""
    with run.artifact(REPORT, "text/csv") as file:
        for block in csv_report(record):
            file.write(block.encode())
            run.check()


def _import(run: Run, record: OrganizationImport, content: BinaryIO, progress: ImportProgress) -> None:
    """Import the file in one transaction."""
    arguments = run.job.arguments
    by, options = run.job.requested_by, _options_of(run.job)

    def check_rights() -> None:
        requester_rights.check_may_still(
            by,
            Role.ADMIN,
            organization_id=options.top_id,
            again="Somebody who may import can upload the file again.",
        )

    check_rights()  # before anybody reads what the file is compared with
    with transaction.atomic():
        context = {"address": arguments.get("address", ""), "reason": arguments.get("reason") or run.job.reason}
        with actor.acting(arguments.get("via", "worker"), actor=by, **context):
            report = importer.import_organizations(
                content,
                options=options,
                progress=progress,
                dry_run=record.is_dry_run,
                on_changes=lambda: _store_changes(record, expected=arguments.get("digest", "")),
                on_wait=run.check_while_waiting,
                on_locked=check_rights,
            )
        _store_result(record, report)
        run.record_progress(processed=report.rows, unchanged=report.unchanged, total=report.rows)


STORE_CHANGES = f"""
INSERT INTO jobs_importline (organization_import_id, {LINE_COLUMNS}, problem)
SELECT %s, {LINE_COLUMNS}, '' FROM ({staging.CHANGES}) changes ORDER BY line
"""  # noqa: S608 - no input in it


def _store_changes(record: OrganizationImport, *, expected: str) -> None:
    """Store the report of the changes. Raises PermanentFailure if a dry run has found other changes."""
    record.digest = staging.changes_digest()
    if expected and expected != record.digest:
        raise PermanentFailure(CHANGED_SINCE)
    record.lines.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(STORE_CHANGES, [record.pk])


def _store_result(record: OrganizationImport, report: ImportReport) -> None:
    """Store the counts. The file of an import is not needed any more; a dry run keeps it for the import."""
    values: dict[str, Any] = {name: getattr(report, name) for name in COUNTS}
    values |= {"problems": 0, "refusal": "", "digest": record.digest, "placement_jobs": list(report.placement_jobs)}
    values["values"] = report.values.as_json() if report.values else None
    OrganizationImport.objects.filter(pk=record.pk).update(step="", done=0, step_total=None, **values)
    if not record.is_dry_run:
        ImportFile.objects.filter(imports=record).delete()


def _store_refusal(run: Run, record: OrganizationImport, refused: ImportRefused) -> None:
    """Store the problems for which the file was refused."""
    lines = [
        ImportLine(organization_import=record, line=line, problem=problem.replace("\x00", "\N{REPLACEMENT CHARACTER}"))
        for line, problem in refused.lines
    ]
    with transaction.atomic():
        record.lines.all().delete()
        ImportLine.objects.bulk_create(lines, batch_size=BATCH_SIZE)
        values: dict[str, Any] = {**dict.fromkeys(COUNTS), "problems": max(refused.count, 1), "refusal": refused.detail}
        OrganizationImport.objects.filter(pk=record.pk).update(step="", done=0, step_total=None, **values)
        run.record_progress()
