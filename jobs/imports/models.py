"""The tables of imports: the uploaded files, and for each import its result and the lines of its report."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from jobs.artifacts.models import Artifact
from jobs.engine.models import Job


class ImportFile(models.Model):
    """An uploaded file, which all workers can read. It is deleted after the import, or a day after the upload."""

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=255, default="", db_default="")
    size = models.BigIntegerField()
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.name or f"file {self.pk}"


class ImportFilePart(models.Model):
    """A part of an uploaded file, in the order of `number`."""

    id = models.BigAutoField(primary_key=True)
    file = models.ForeignKey(ImportFile, on_delete=models.CASCADE, related_name="parts", db_index=False)
    number = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["file", "number"], name="one_part_of_each_number")]

    def __str__(self) -> str:
        return f"part {self.number} of file {self.file_id}"


class OrganizationImport(models.Model):
    """The import of a chain of jobs; `job` is the first job of the chain.

    The counts are null until an attempt knows them. `digest` identifies the changes that a dry run has found.
    """

    job = models.OneToOneField(Job, on_delete=models.CASCADE, primary_key=True, related_name="organization_import")
    file = models.ForeignKey(ImportFile, on_delete=models.SET_NULL, null=True, related_name="imports")
    artifact = models.ForeignKey(
        Artifact,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        help_text="The uploaded file, if an artifact has it.",
    )
    is_dry_run = models.BooleanField()
    step = models.CharField(max_length=32, default="", db_default="", help_text="What the attempt does now.")
    done = models.BigIntegerField(default=0, db_default=0, help_text="How much of the step is done.")
    step_total = models.BigIntegerField(null=True, help_text="How much the step has to do, if it is known.")
    values = models.JSONField(
        null=True, help_text="What a dry run would do to values of flags. Empty if nobody has counted it."
    )
    rows = models.BigIntegerField(null=True)
    created = models.BigIntegerField(null=True)
    renamed = models.BigIntegerField(null=True)
    moved = models.BigIntegerField(null=True)
    attributes = models.BigIntegerField(null=True, help_text="How many organizations get other attributes.")
    unchanged = models.BigIntegerField(null=True)
    problems = models.BigIntegerField(null=True, help_text="The number of problems for which the file was refused.")
    refusal = models.TextField(default="", db_default="", help_text="Why the file was refused, and the way out.")
    digest = models.CharField(max_length=64, default="", db_default="")
    placement_jobs = models.JSONField(default=list, help_text="The jobs that write flag states.")

    class Meta:
        verbose_name = "import"
        verbose_name_plural = "imports"

    def __str__(self) -> str:
        return f"import {self.job_id}"

    @property
    def source(self) -> ImportFile | Artifact | None:
        """The file to import; None if it is deleted by now."""
        return self.file or self.artifact

    @property
    def file_name(self) -> str:
        """The name of the file; empty if it has none."""
        return self.job.arguments.get("file") or (self.artifact.name if self.artifact else "")


class ImportLine(models.Model):
    """A line of the report of an import: a change, or a problem."""

    id = models.BigAutoField(primary_key=True)
    organization_import = models.ForeignKey(
        OrganizationImport, on_delete=models.CASCADE, related_name="lines", db_index=False
    )
    line = models.BigIntegerField()
    change = models.CharField(max_length=16, default="", db_default="")
    key = models.CharField(max_length=255, default="", db_default="")
    name = models.CharField(max_length=255, default="", db_default="")
    former_name = models.CharField(max_length=255, default="", db_default="")
    parent_key = models.CharField(max_length=255, default="", db_default="")
    former_parent_key = models.CharField(max_length=255, default="", db_default="")
    problem = models.TextField(default="", db_default="")

    class Meta:
        indexes: ClassVar = [models.Index(fields=["organization_import", "id"], name="line_of_import")]

    def __str__(self) -> str:
        return f"line {self.line}: {self.change or self.problem}"
