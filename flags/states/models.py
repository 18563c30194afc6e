"""The models of changes and flag states."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from flags.definitions.models import Flag
from jobs.engine.models import Job
from orgs.tree.models import Organization

IS_COMPLETE = """
CASE WHEN change.job_id IS NULL THEN change.is_partial IS FALSE
     ELSE EXISTS (SELECT FROM jobs_job attempt
                   WHERE (attempt.id = change.job_id OR attempt.parent_job_id = change.job_id)
                     AND attempt.ended_as = 'COMPLETED' AND attempt.failed = 0) END"""
"""A condition in SQL: the change (`change`) has reached every organization of its subtree."""


class Change(models.Model):
    """One accepted request to set a flag on an organization and everything below it.

    `number` is the change number: it comes from the sequence flags_change_number, and the change with the higher number
    wins. A move of an organization is also recorded as changes, one for each flag whose value the move writes. The
    `source` of such a change is the organization on which the value was set.
    """

    id = models.BigAutoField(primary_key=True)
    number = models.BigIntegerField()
    flag = models.ForeignKey(Flag, on_delete=models.CASCADE, db_index=False, related_name="changes")
    organization = models.ForeignKey(
        Organization, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    enabled = models.BooleanField()
    source = models.ForeignKey(
        Organization, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    job = models.ForeignKey(
        Job,
        on_delete=models.SET_NULL,
        null=True,
        related_name="changes",
        help_text="The first job of the chain that carries it down; empty when it was written at once.",
    )
    is_partial = models.BooleanField(
        null=True,
        default=False,
        db_default=False,
        help_text="For a change without a job: whether some organizations may lack it, because its propagation was "
        "cancelled or failed before the job was deleted. Null if nobody knows.",
    )
    requested_by = models.CharField(max_length=200, default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes: ClassVar = [
            # placements read the latest change of a flag on each ancestor
            models.Index(fields=["organization", "flag", "-number"], name="change_on_organization"),
            # the page of a flag shows its latest changes
            models.Index(fields=["flag", "-number"], name="change_of_flag"),
        ]

    def __str__(self) -> str:
        return f"{self.flag_id} {'on' if self.enabled else 'off'} at {self.organization_id} (number {self.number})"


class FlagState(models.Model):
    """The stored value of one flag for one organization. Reads look up this row by its primary key.

    The table is made for many updates. No index contains a column that a change writes, and each page keeps space for a
    second version of its rows (fillfactor 50). So PostgreSQL can update rows without touching indexes (heap-only
    updates), and the next update reuses the space. The foreign keys have no constraints, because checking four
    constraints would cost more than writing the row. Rows are created and deleted only under the tree lock, together
    with their organization.
    """

    pk = models.CompositePrimaryKey("organization_id", "flag_id")
    organization = models.ForeignKey(
        Organization, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="flag_states"
    )
    flag = models.ForeignKey(
        Flag, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="states"
    )
    source = models.ForeignKey(
        Organization, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    change_number = models.BigIntegerField()
    job = models.ForeignKey(
        Job, on_delete=models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    updated_at = models.DateTimeField(db_default=Now())
    enabled = models.BooleanField()  # last, because wider columns first leave no gaps in a row

    def __str__(self) -> str:
        return f"{self.flag_id} is {'on' if self.enabled else 'off'} for {self.organization_id}"

    @property
    def inherited(self) -> bool:
        """Whether the value was set on an ancestor of the organization."""
        return self.source_id != self.organization_id
