"""Accepted changes, and the effective value of each flag for each organization."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from flags.definitions.models import Flag
from jobs.engine.models import Job
from orgs.tree.models import Organization


class Change(models.Model):
    """One accepted request to set a flag on an organization and all that is below it.

    `number` comes from the sequence flags_change_number and decides which of two changes wins. A move of an
    organization is recorded as changes too, one for each flag whose value it takes along or takes over; such a
    change names the `source` that the value comes from.
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
    requested_by = models.CharField(max_length=200, default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes: ClassVar = [
            # placements: the latest change of a flag on each ancestor
            models.Index(fields=["organization", "flag", "-number"], name="change_on_organization"),
            # a flag's page: what was changed last
            models.Index(fields=["flag", "-number"], name="change_of_flag"),
        ]

    def __str__(self) -> str:
        return f"{self.flag_id} {'on' if self.enabled else 'off'} at {self.organization_id} (number {self.number})"


class FlagState(models.Model):
    """The effective value of one flag for one organization: what reads look up.

    The table is laid out for its load. No column that a flip writes is in an index, and each page keeps room for a
    second version of its rows (fillfactor 50), so that a flip is a heap-only update: indexes are not touched and
    the next flip reuses the room. No foreign key is enforced, since checking four of them for each row would cost
    more than the row; rows appear and go only under the tree lock, together with their organization.
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
    enabled = models.BooleanField()  # last: wider columns first leave no gaps between them

    def __str__(self) -> str:
        return f"{self.flag_id} is {'on' if self.enabled else 'off'} for {self.organization_id}"

    @property
    def inherited(self) -> bool:
        """Whether the value was set on another organization, above."""
        return self.source_id != self.organization_id
