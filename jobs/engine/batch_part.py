"""What a job knows of its batch, and the rules of batches that the engine calls.

A batch is many chains as one piece of work. Its rules are in `jobs.batches`, which registers them here. The engine
calls them only for jobs that are part of a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.db import models

from jobs.engine.states import OPEN, Status

Rule = Callable[[Any, Status], None]
"""A function with the arguments `job` and the status that its chain has got."""


class BatchRole(models.TextChoices):
    """What a chain is for its batch."""

    MEMBER = "member", "A member"
    REQUIRED = "required", "A required member"
    OPERATION = "operation", "An operation on the members"


class PartOfBatch(models.Model):
    """The columns of a job that is part of a batch. Retries have the values of the first job of their chain."""

    batch = models.ForeignKey(
        "jobs.Batch", on_delete=models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="jobs"
    )
    batch_role = models.CharField(
        max_length=16,
        choices=BatchRole.choices,
        default="",
        db_default="",
        help_text="What the chain is for its batch. A batch fails if a required member fails.",
    )
    member_name = models.CharField(
        max_length=200, default="", db_default="", help_text="The name of the member in its batch."
    )

    INDEXES: ClassVar = (
        # the end of a member: whether the batch has other open members
        models.Index(
            fields=["batch"],
            name="open_job_of_batch",
            condition=models.Q(batch__isnull=False, status__in=sorted(OPEN)),
        ),
        # the members of a batch in the order of their ids, each by its first job
        models.Index(
            fields=["batch", "id"],
            name="first_job_of_batch",
            condition=models.Q(batch__isnull=False, parent_job=None),
        ),
    )

    class Meta:
        abstract = True

    @property
    def is_required(self) -> bool:
        """Whether the batch fails if this member fails."""
        return self.batch_role == BatchRole.REQUIRED


_rules: list[Rule] = []


def batch_rule(rule: Rule) -> Rule:
    """Register a function that follows the end of a chain of a batch, and the retry of an ended one by a person.

    The function runs at the end of the transaction, while the chain is locked. Its status is one of FINAL, or RETRYING
    after the retry of an ended chain.
    """
    _rules.append(rule)
    return rule


def chain_changed(job: Any, status: Status) -> None:
    """Apply the rules of batches after a chain has ended with this status, or was reopened (RETRYING)."""
    if job.batch_id is not None:
        for rule in _rules:
            rule(job, status)
