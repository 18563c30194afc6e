"""Artifacts in the output of commands."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Column, Table

from flagsite.core.console import terminal
from jobs.artifacts.models import Artifact


def artifact_table(artifacts: Sequence[Artifact]) -> Table:
    """A table with one row for each artifact."""
    table = terminal.table(
        Column("Artifact", justify="right"), Column("Job", justify="right"), Column("Name", overflow="fold"),
        Column("Bytes", justify="right"), Column("Type"), Column("Until", no_wrap=True),
    )  # fmt: skip
    for artifact in artifacts:
        table.add_row(
            *terminal.cells(
                artifact.pk, artifact.job_id or "uploaded", artifact.name, artifact.size, artifact.media_type,
                terminal.format_time(artifact.expires_at),
            )
        )  # fmt: skip
    return table
