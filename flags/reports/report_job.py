"""The job that makes a report: figures of one snapshot of the database, written as artifacts of the job."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Any, BinaryIO, Protocol

from django.db import transaction
from django.utils import timezone

from flags.reports import audit, mail, performance, usage
from flags.reports.figures import Figures, Heading
from flags.reports.period import WORDS, Period, PeriodName, period_of
from flags.reports.progress import ReportProgress
from flags.reports.scope import ReportScope, load_scope
from flags.reports.writers import csv_files, json_file, pdf, workbook
from flagsite.core.db.snapshot import snapshot
from jobs.engine.kinds import DEFAULT_ATTEMPT_SECONDS, job_kind
from jobs.engine.run import Run
from jobs.operations import requester_rights
from orgs.access.models import Role

KIND = "report"


class ReportName(StrEnum):
    """The reports that there are."""

    USAGE = "usage"
    AUDIT = "audit"
    PERFORMANCE = "performance"


class FileFormat(StrEnum):
    """The formats in which a report is written."""

    PDF = "pdf"
    XLSX = "xlsx"
    CSV = "csv"
    JSON = "json"


class FiguresOf(Protocol):
    """Counts the figures of a report."""

    def __call__(self, scope: ReportScope, period: Period, *, details: bool) -> Figures: ...


@dataclass(frozen=True, slots=True)
class ReportType:
    """A report: its title, its figures, and the role that its readers need beside that of a reader."""

    title: str
    figures_of: FiguresOf
    role: Role | None = None


TYPES = {
    ReportName.USAGE: ReportType(usage.TITLE, usage.figures_of),
    ReportName.AUDIT: ReportType(audit.TITLE, audit.figures_of, Role.ADMIN),
    ReportName.PERFORMANCE: ReportType(performance.TITLE, performance.figures_of),
}
PICTURE = "first-page.png"
MAILED: dict[str, Any] = {"isMailed": True}
"""The checkpoint of a report whose e-mails are created, so that no later attempt creates them again."""
MEDIA_TYPES = {
    FileFormat.PDF: "application/pdf",
    FileFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    FileFormat.CSV: "text/csv; charset=utf-8",
    FileFormat.JSON: "application/json",
}
ARGUMENTS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "report": {
            "enum": [name.value for name in ReportName],
            "title": "Report",
            "description": "usage: evaluations and adoption of flags; audit: who did what (needs the role admin); "
            "performance: how jobs ended and how long they took.",
        },
        "period": {
            "enum": [name.value for name in PeriodName],
            "title": "Period",
            "description": "; ".join(f"{name.value}: {words[0].lower()}{words[1:]}" for name, words in WORDS.items())
            + ". Without a period and days, the last calendar month.",
        },
        "from": {
            "type": "string",
            "format": "date",
            "title": "From",
            "description": "The first day in UTC, instead of a period.",
        },
        "to": {"type": "string", "format": "date", "title": "To", "description": "The last day in UTC."},
        "format": {
            "enum": [format_.value for format_ in FileFormat],
            "title": "Format",
            "description": "csv makes a file for each table.",
            "default": FileFormat.PDF.value,
        },
        "details": {
            "type": "boolean",
            "title": "Flag states",
            "description": "Whether the usage report lists the flag state of each organization.",
            "default": False,
        },
        "mailTo": {
            "type": "array",
            "items": {"type": "string", "maxLength": 254},
            "maxItems": mail.MOST_ADDRESSES,
            "title": "Mail to",
            "description": "E-mail addresses that get the key figures and the addresses of the files.",
        },
    },
    "required": ["report"],
    "dependentSchemas": {
        "from": {"required": ["to"], "properties": {"period": False}},
        "to": {"required": ["from"]},
    },
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class ReportFile:
    """A file of a report: its name, its media type, and what writes it."""

    name: str
    media_type: str
    write: Callable[[BinaryIO], object]


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Check the period and the e-mail addresses, which the schema cannot. Raises InvalidJobArguments."""
    mail.check_addresses(arguments.get("mailTo", ()))
    period_of(arguments, today=timezone.now().astimezone(UTC).date())


def role_for(arguments: Mapping[str, Any]) -> Role | None:
    """Return the role that a report needs beside those that every job needs. An unknown report needs none."""
    name = arguments.get("report")
    return TYPES[ReportName(name)].role if name in set(ReportName) else None


@job_kind(
    KIND,
    queue="report",
    summary="Make a report on the usage of flags, the audit log or the performance of jobs, as a file.",
    arguments=ARGUMENTS,
    page="admin:flags_report_change",
    of_organization=True,
    attempt_seconds=DEFAULT_ATTEMPT_SECONDS,
    concurrency_key=lambda organization_id, _: f"report:{organization_id or 'all'}",
    check_arguments=check_arguments,
    role=role_for,
    continues=True,  # it does not mail again
)
def make_report(run: Run) -> None:
    """Make a report. A retry begins anew, because an attempt that ends early leaves no artifact.

    A deleted organization, and a requester whose role was taken away, are permanent failures.
    """
    job = run.job
    name = ReportName(job.arguments["report"])
    needed = TYPES[name].role
    if needed is not None:
        again = "Somebody with this role can ask for the report again."
        requester_rights.check_may_still(job.requested_by, needed, organization_id=job.organization_id, again=again)
    run.record_progress(processed=-job.processed)
    progress = ReportProgress(run)
    progress.start()
    try:
        with snapshot():
            heading, figures = report_of(name, job.arguments, job.organization_id, requested_at=job.created_at)
            progress.check()
            names = []
            for file in files_of(heading, progress.counted(figures), FileFormat(job.arguments["format"])):
                with run.artifact(file.name, file.media_type, role=needed or "") as content:
                    file.write(content)
                names.append(file.name)
                progress.check()
    finally:
        progress.stop(within=5.0)
    run.set_result(_result(heading, figures, names))
    with transaction.atomic():
        if run.job.checkpoint != MAILED:
            mail.send(job, heading, figures, [name for name in names if name != PICTURE])
        run.record_progress(processed=progress.unwritten, checkpoint=MAILED)


def report_of(
    name: ReportName, arguments: Mapping[str, Any], organization_id: int | None, *, requested_at: datetime
) -> tuple[Heading, Figures]:
    """Return the heading and the figures of a report. Call this, and read the rows of the figures, in one snapshot.

    Raises PermanentFailure if the organization is gone, and InvalidJobArguments.
    """
    period = period_of(arguments, today=requested_at.astimezone(UTC).date())
    scope = load_scope(organization_id)
    heading = Heading(
        report=name.value,
        title=TYPES[name].title,
        first=period.first,
        last=period.last,
        period=period.words,
        organization_id=organization_id,
        organization=scope.name,
        made_at=timezone.now(),
        slug="-".join([name.value, period.slug, *([f"organization-{organization_id}"] if organization_id else [])]),
    )
    return heading, TYPES[name].figures_of(scope, period, details=bool(arguments.get("details")))


def files_of(heading: Heading, figures: Figures, format_: FileFormat) -> Iterator[ReportFile]:
    """Yield the files of a report in the order in which they have to be written, the picture of its first page first.

    The rows of a table can be read once only, so each file is written before the next one.
    """
    picture = pdf.first_page(heading, figures)
    yield ReportFile(PICTURE, "image/png", lambda content: content.write(picture))
    media_type = MEDIA_TYPES[format_]
    if format_ == FileFormat.CSV:
        for table in figures.tables:
            yield ReportFile(f"{heading.slug}-{table.name}.csv", media_type, partial(csv_files.write, table))
        return
    write: dict[FileFormat, Callable[[BinaryIO], object]] = {
        FileFormat.PDF: lambda content: content.write(pdf.write_pdf(heading, figures)),
        FileFormat.XLSX: partial(workbook.write, heading, figures),
        FileFormat.JSON: partial(json_file.write, heading, figures),
    }
    yield ReportFile(f"{heading.slug}.{format_.value}", media_type, write[format_])


def _result(heading: Heading, figures: Figures, names: list[str]) -> dict[str, Any]:
    return {
        "report": heading.report,
        "from": heading.first.isoformat(),
        "to": heading.last.isoformat(),
        "organization": heading.organization,
        "files": [name for name in names if name != PICTURE],
        "picture": PICTURE,
        "figures": {figure.name: figure.value for figure in figures.key_figures},
    }
