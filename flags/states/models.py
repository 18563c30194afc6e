"""The models of settings, changes and flag states."""

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


class FlagSetting(models.Model):
    """An explicit decision about one flag on one organization. Settings are the truth; flag states are the answer.

    The value of a flag for an organization is that of the nearest setting of the kind `set`, on the organization or
    above it; without one, the flag's default. The change number of a flag state is the highest `number` on the path.
    Whoever sets a flag on an organization ends the settings below: they get the kind `none` and the number of the
    change. A move does the same, and leaves a setting on the moved organization, so that its numbers rise.
    """

    class Kind(models.TextChoices):
        """What was decided."""

        SET = "set"
        NONE = "none"

    pk = models.CompositePrimaryKey("organization_id", "flag_id")
    organization = models.ForeignKey(
        Organization, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    flag = models.ForeignKey(Flag, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    number = models.BigIntegerField()
    kept_from = models.ForeignKey(
        Organization, on_delete=models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+",
        help_text="The organization on which the value was set, if the organization has kept it in a move.",
    )  # fmt: skip
    created_at = models.DateTimeField(db_default=Now())
    kind = models.CharField(max_length=6, choices=Kind.choices)
    enabled = models.BooleanField(null=True, help_text="Empty if nothing is set.")
    requested_by = models.CharField(max_length=200, default="")
    reason = models.TextField(default="")

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                name="setting_has_a_value_if_it_is_set",
                condition=models.Q(kind="set", enabled__isnull=False) | models.Q(kind="none", enabled__isnull=True),
            )
        ]
        indexes: ClassVar = [
            # whoever sets a flag ends the settings of this flag below
            models.Index(fields=["flag", "organization"], name="setting_of_flag"),
        ]

    def __str__(self) -> str:
        return f"{self.flag_id} {self.kind} at {self.organization_id} (number {self.number})"
