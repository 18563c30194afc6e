"""The models of history: placements and definitions as they were, which triggers keep, and where history begins.

Settings as they were are in `flags.states.models.ReplacedSetting`. All of these rows end at a moment of the database's
clock, taken under the locks of the change. So on every path the order of the moments is the order of the change
numbers.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from flags.values.stored_json import StoredJson


class HistoryBegin(models.Model):
    """The moment at which history begins: its only row. Nobody can ask for what was before."""

    begins_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"History begins at {self.begins_at}"


class FormerPlacement(models.Model):
    """An organization as it was until somebody moved, renamed or deleted it.

    `replaced_by` is the number of this change. All organizations that one import moves share a number, and so have all
    that one statement deletes. `new_parent_id` is the parent after a move. Organizations may be gone by now.
    """

    class Kind(models.TextChoices):
        """What ended the placement."""

        MOVE = "move"
        RENAME = "rename"
        DELETION = "delete"

    id = models.BigAutoField(primary_key=True)
    organization_id = models.BigIntegerField()
    parent_id = models.BigIntegerField(null=True)
    new_parent_id = models.BigIntegerField(null=True)
    replaced_by = models.BigIntegerField()
    created_at = models.DateTimeField(help_text="When the organization was created.")
    valid_until = models.DateTimeField()
    kind = models.CharField(max_length=6, choices=Kind.choices)
    name = models.CharField(max_length=255)
    key = models.CharField(max_length=255)

    class Meta:
        indexes: ClassVar = [
            # a look into the past asks for the placement that held then
            models.Index(fields=["organization_id", "valid_until"], name="former_placement"),
            models.Index(fields=["replaced_by"], name="placement_replaced_by"),
        ]

    def __str__(self) -> str:
        return f"{self.organization_id} below {self.parent_id} until {self.valid_until}"


class FormerDefinition(models.Model):
    """The definition of a flag as it was until somebody changed it.

    `definition` has the columns of the flag's row by their names, and `prerequisites` with the keys of the flags that
    it needed. `replaced_by` is the number of the change, which comes from the same sequence as all change numbers.
    """

    id = models.BigAutoField(primary_key=True)
    flag_id = models.BigIntegerField()
    version = models.PositiveIntegerField()
    replaced_by = models.BigIntegerField()
    valid_until = models.DateTimeField()
    definition = models.JSONField(decoder=StoredJson)

    class Meta:
        indexes: ClassVar = [
            # a look into the past asks for the definition that held then
            models.Index(fields=["flag_id", "valid_until"], name="former_definition"),
            models.Index(fields=["replaced_by"], name="definition_replaced_by"),
        ]

    def __str__(self) -> str:
        return f"{self.flag_id} version {self.version} until {self.valid_until}"


class FormerSegment(models.Model):
    """A segment as it was until somebody changed or deleted it.

    `content` has the columns of its row by their names. `replaced_by` is the number of the change, which comes from the
    same sequence as all change numbers.
    """

    id = models.BigAutoField(primary_key=True)
    segment_id = models.BigIntegerField()
    version = models.PositiveIntegerField()
    replaced_by = models.BigIntegerField()
    valid_until = models.DateTimeField()
    content = models.JSONField(decoder=StoredJson)

    class Meta:
        indexes: ClassVar = [
            # a look into the past asks for the segment that held then
            models.Index(fields=["segment_id", "valid_until"], name="former_segment"),
            models.Index(fields=["replaced_by"], name="segment_replaced_by"),
        ]

    def __str__(self) -> str:
        return f"{self.segment_id} version {self.version} until {self.valid_until}"
