"""Replay the recorded answers of a former product."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from flags.replay.replay_job import DIFFERENCES, KIND, SUMMARY
from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand
from flagsite.core.words import counted
from jobs.console.chain_polling import succeeded
from jobs.console.follow import follow
from jobs.console.job_tables import documents_of
from jobs.console.uploading import upload_file
from jobs.engine.chains import tracked
from jobs.operations.enqueue import enqueue_for
from orgs.access.visible_organizations import find_organization
from orgs.tree.console import everything


class Command(OperatorCommand):
    help = (
        "Compare the answers of a former product, which FILE records, with those of Flagsite. Uploads FILE, starts a "
        "job, and waits for it. The exit status is 1 if an answer differs."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help="JSON lines: contexts with recorded answers")
        parser.add_argument(
            "--organization", metavar="ORG", help="that of contexts which name none; all others must be below it"
        )
        add_reason(parser)

    def answer(self, *, file: Path, organization: str | None, reason: str, **options: Any) -> Answer:
        organization_id = find_organization(organization).pk if organization else None
        artifact = upload_file(file, reason=reason)
        job = enqueue_for(
            everything(),
            kind=KIND,
            arguments={"artifactId": artifact.pk},
            organization=organization_id,
            reason=reason,
        ).job
        latest = follow(job)
        summary: Any = latest.result
        document = {"job": documents_of(tracked([latest]))[0], "summary": summary}
        if not succeeded(latest):
            why = latest.error_message or f"Job {job.pk} is {latest.status}."
            return Answer(document, failed=True, error_summary=why)
        found = "all are the same" if summary["identical"] else f"{summary['different']:,} differ"
        contexts, comparisons = (counted(summary[f"{one}s"], one) for one in ("context", "comparison"))
        files = [f"bin/manage save_artifact {job.pk} {name}" for name in (SUMMARY, DIFFERENCES)]
        return Answer(document, [f"{contexts}, {comparisons}: {found}.", *files], failed=not summary["identical"])
