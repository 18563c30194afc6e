"""The model of reports: the first jobs of the chains that make reports."""

from __future__ import annotations

from jobs.engine.models import Job


class Report(Job):
    """A report, as the first job of the chain that makes it. Its files are the artifacts of the job."""

    class Meta:
        proxy = True
        verbose_name = "report"
        verbose_name_plural = "reports"

    def __str__(self) -> str:
        return f"report {self.pk}"
