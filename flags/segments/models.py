"""The model of segments."""

from __future__ import annotations

import re

from django.contrib.postgres.fields import ArrayField
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Now

from flags.errors import InvalidSegmentKey, SegmentNotFound
from flags.values.stored_json import StoredJson
from flagsite.core.db.clock import ClockTimestamp

SEGMENT_KEY_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
SEGMENT_KEY = RegexValidator(
    rf"\A{SEGMENT_KEY_PATTERN}\Z", "1 to 100 of A-Z a-z 0-9 . _ -, starting with a letter or digit."
)


def check_segment_key(key: str) -> None:
    """Raise InvalidSegmentKey if the text cannot be the key of a segment."""
    if not re.fullmatch(SEGMENT_KEY_PATTERN, key):
        raise InvalidSegmentKey


class SegmentQuerySet(models.QuerySet["Segment"]):
    """Look-ups of segments."""

    def called(self, key: str) -> Segment:
        """Return the segment with this key. Raises SegmentNotFound."""
        segment = self.filter(key=key).first()
        if segment is None:
            raise SegmentNotFound(f"There is no segment {key!r}.")
        return segment


class Segment(models.Model):
    """A named group of users and places, which the targeting rules of flags and other segments can ask for."""

    id = models.BigAutoField(primary_key=True)
    key = models.CharField(max_length=100, unique=True, validators=[SEGMENT_KEY])
    description = models.TextField(default="", db_default="", blank=True)
    rules = models.JSONField(
        default=list,
        db_default=[],
        blank=True,
        decoder=StoredJson,
        help_text="Whoever one of the rules matches is in the segment.",
    )
    included = ArrayField(
        models.CharField(max_length=255),
        default=list,
        db_default=[],
        blank=True,
        help_text="Targeting keys that are in it, whatever else is written here. One in each line.",
    )
    excluded = ArrayField(
        models.CharField(max_length=255),
        default=list,
        db_default=[],
        blank=True,
        help_text="Targeting keys that are not in it, even where a rule matches. One in each line.",
    )
    owner = models.CharField(max_length=200, default="", db_default="", blank=True)
    tags = ArrayField(models.CharField(max_length=64), default=list, db_default=[], blank=True)
    version = models.PositiveIntegerField(default=1, db_default=1, help_text="Grows with each change of the segment.")
    created_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)
    created_by = models.CharField(max_length=200, default="", db_default="")
    updated_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_by = models.CharField(max_length=200, default="", db_default="")

    objects = SegmentQuerySet.as_manager()

    def __str__(self) -> str:
        return self.key

    @property
    def revision(self) -> str:
        """The segment's id and version. It differs from every revision of a deleted segment that had the same key."""
        return f"{self.pk}-{self.version}"
