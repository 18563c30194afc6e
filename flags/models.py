"""Flags, the changes that were asked for, and each organization's effective value."""

from __future__ import annotations

import re
import secrets
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Now

from flags.errors import FlagNotFound, InvalidFlagKey
from jobs.models import Job
from orgs.models import Organization

FLAG_KEY_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}"
FLAG_KEY = RegexValidator(rf"\A{FLAG_KEY_PATTERN}\Z", "1 to 255 of A-Z a-z 0-9 . _ -, starting with a letter or digit.")


def new_salt() -> str:
    """What tells a flag's buckets from those of another flag of the same key, once the first was purged."""
    return secrets.token_hex(4)


def check_flag_key(key: str) -> None:
    """Raises InvalidFlagKey for what no flag can be called."""
    if not re.fullmatch(FLAG_KEY_PATTERN, key):
        raise InvalidFlagKey


class FlagQuerySet(models.QuerySet["Flag"]):
    """Which flags."""

    def called(self, key: str) -> Flag:
        """The one with this key. Raises FlagNotFound."""
        flag = self.filter(key=key).first()
        if flag is None:
            raise FlagNotFound(f"There is no flag {key!r}.")
        return flag


class Flag(models.Model):
    """The definition of a feature that organizations have switched on or off, and whom of theirs it reaches."""

    class Kind(models.TextChoices):
        """What a flag is for, which says how long it should live."""

        RELEASE = "release", "Release: goes once all have it"
        EXPERIMENT = "experiment", "Experiment: goes once it is decided"
        OPERATIONAL = "operational", "Operational: stays, a switch for operators"
        PERMISSION = "permission", "Permission: stays, what a customer has bought"

    class Unit(models.TextChoices):
        """What a rollout percentage counts."""

        TARGETING_KEY = "targetingKey", "Targeting key: users one by one"
        ORGANIZATION = "organization", "Organization: all its users together"
        ANCESTOR = "ancestor", "Ancestor at a level: a customer's family together"

    id = models.BigAutoField(primary_key=True)
    key = models.CharField(max_length=255, unique=True, validators=[FLAG_KEY])
    description = models.TextField(default="", blank=True)
    enabled = models.BooleanField(
        default=False, db_default=False, help_text="The value for organizations where nobody set it."
    )
    rollout_percentage = models.DecimalField(
        max_digits=6, decimal_places=3, null=True, blank=True, help_text="0 to 100, three decimals; empty is 100."
    )
    rollout_unit = models.CharField(
        max_length=16, choices=Unit.choices, default=Unit.TARGETING_KEY, db_default=Unit.TARGETING_KEY
    )
    rollout_level = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Of the ancestor that counts; 0 is the root. Only with the unit ancestor."
    )
    salt = models.CharField(max_length=64, default=new_salt, db_default="", help_text="Another salt picks other users.")
    hash_version = models.PositiveSmallIntegerField(default=1, db_default=1, help_text="The formula of the buckets.")
    whitelist = ArrayField(
        models.CharField(max_length=255),
        default=list,
        db_default=[],
        blank=True,
        help_text="Targeting keys that always have it.",
    )
    environments = models.JSONField(
        default=dict, db_default={}, blank=True, help_text='Forces it on or off in an environment: {"staging": true}.'
    )
    prerequisites = models.ManyToManyField(
        "self", symmetrical=False, blank=True, related_name="dependents", help_text="Flags that must be on."
    )
    owner = models.CharField(max_length=200, default="", db_default="", blank=True)
    tags = ArrayField(models.CharField(max_length=64), default=list, db_default=[], blank=True)
    kind = models.CharField(max_length=16, choices=Kind.choices, default=Kind.RELEASE, db_default=Kind.RELEASE)
    expires_on = models.DateField(null=True, blank=True, help_text="When it should be gone from the code.")
    killed = models.BooleanField(default=False, db_default=False, help_text="Off for everybody, whatever else is set.")
    archived = models.BooleanField(
        default=False, db_default=False, help_text="Off for everybody, and out of the lists."
    )
    purging = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="Archived for good: a job deletes its states, then the flag itself.",
    )
    version = models.PositiveIntegerField(
        default=1, db_default=1, help_text="Grows with each change of the definition."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    created_by = models.CharField(max_length=200, default="", db_default="")
    updated_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_by = models.CharField(max_length=200, default="", db_default="")

    objects = FlagQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(rollout_percentage__isnull=True)
                | models.Q(rollout_percentage__gte=0, rollout_percentage__lte=100),
                name="flag_rollout_is_a_percentage",
            ),
            models.CheckConstraint(
                condition=models.Q(rollout_unit="ancestor", rollout_level__isnull=False)
                | (~models.Q(rollout_unit="ancestor") & models.Q(rollout_level__isnull=True)),
                name="flag_level_goes_with_ancestor",
            ),
        ]

    def __str__(self) -> str:
        return self.key

    @property
    def revision(self) -> str:
        """This flag in this version; unlike the version alone, never that of another flag that had the key before."""
        return f"{self.pk}-{self.version}"


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


class FlagUse(models.Model):
    """How often, and when last, an organization has asked for a flag by its name, or for all flags at once.

    `flag_id` 0 stands for all flags at once: one row, where a row for each flag would be a hundred to write.
    `organization_id` 0 stands for evaluations without an organization. Rows of flags and organizations that are gone
    are swept away when adoption is counted.
    """

    pk = models.CompositePrimaryKey("flag_id", "organization_id")
    flag_id = models.BigIntegerField()
    organization_id = models.BigIntegerField()
    evaluations = models.BigIntegerField()
    last_evaluated_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.flag_id or 'all flags'} for {self.organization_id or 'nobody'}: {self.evaluations}"


class FlagUseTotal(models.Model):
    """The same for all organizations together; `flag_id` 0 stands for all flags at once."""

    flag_id = models.BigIntegerField(primary_key=True)
    evaluations = models.BigIntegerField()
    first_evaluated_at = models.DateTimeField()
    last_evaluated_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.flag_id or 'all flags'}: {self.evaluations}"


class FlagAdoption(models.Model):
    """On how many organizations a flag is on, as it was counted last.

    Those where nobody set it (`unset`) count by the flag's default. `on_sources` and `off_sources` say on how many
    organizations those values were set, `on_biggest` and `off_biggest` which of these have most others below them.
    `same_value` is what all organizations have, `same_since` since when; both are empty while they differ.
    """

    flag = models.OneToOneField(
        Flag, on_delete=models.CASCADE, db_constraint=False, primary_key=True, related_name="adoption"
    )
    organizations_on = models.BigIntegerField()
    organizations_off = models.BigIntegerField()
    unset = models.BigIntegerField()
    on_sources = models.BigIntegerField()
    off_sources = models.BigIntegerField()
    on_biggest = ArrayField(models.BigIntegerField())
    off_biggest = ArrayField(models.BigIntegerField())
    same_value = models.BooleanField(null=True)
    same_since = models.DateTimeField(null=True)
    counted_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.flag_id}: on for {self.organizations_on}, off for {self.organizations_off}"


class FlagSchedule(models.Model):
    """A change of a flag that is to come, or came, by itself: one row for each time, `docs/schedules.md` has its life.

    The row outlives its flag and its organization, therefore neither is constrained. Of a recurring one each time
    has a row, made when the one before it is first tried; `series` is the first of them.
    """

    class Status(models.TextChoices):
        """How it stands."""

        PENDING = "pending", "Pending: waits for its time"
        APPLIED = "applied", "Applied"
        FAILED = "failed", "Failed: for good, or until its retry"
        CANCELLED = "cancelled", "Cancelled"

    id = models.BigAutoField(primary_key=True)
    flag = models.ForeignKey(
        Flag, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="schedules"
    )
    flag_key = models.CharField(max_length=255)
    organization = models.ForeignKey(
        Organization,
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
        help_text="Where the flag is set; empty: the flag's own definition is changed.",
    )
    wanted = models.JSONField(help_text='What to apply: {"enabled": true}; for a definition some of its fields.')
    scheduled_at = models.DateTimeField(db_index=True)
    status = models.CharField(
        max_length=16, choices=Status.choices, default=Status.PENDING, db_default=Status.PENDING.value
    )
    attempts = models.PositiveIntegerField(default=0, help_text="How often it was tried.")
    retry_count = models.PositiveSmallIntegerField(default=0, help_text="Automatic retries that were made.")
    max_retries = models.PositiveSmallIntegerField(default=3)
    next_retry_at = models.DateTimeField(null=True, db_index=True)
    last_error = models.TextField(default="", blank=True)
    applied_at = models.DateTimeField(null=True)
    first_try = models.BooleanField(null=True, help_text="Whether it was applied at the first try.")
    change_number = models.BigIntegerField(null=True, help_text="Of the change that it led to.")
    job = models.ForeignKey(
        Job,
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,  # jobs are deleted some time after they ended
        db_index=False,
        related_name="+",
        help_text="The job that it led to.",
    )
    cron = models.CharField(max_length=100, default="", blank=True, help_text="When it recurs; empty: it does not.")
    time_zone = models.CharField(max_length=64, default="", blank=True, help_text="Of the cron expression.")
    series = models.ForeignKey("self", on_delete=models.CASCADE, null=True, related_name="occurrences", db_index=False)
    paired_with = models.OneToOneField(
        "self", on_delete=models.SET_NULL, null=True, related_name="+", help_text="The other half of on and off."
    )
    created_by = models.CharField(max_length=200)
    author_gone = models.CharField(
        max_length=200, default="", blank=True, help_text="What had become of its author when it was applied."
    )
    reason = models.TextField(default="", blank=True)
    correlation_id = models.CharField(max_length=128, default="", blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name = "scheduled change"
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(max_retries__lte=10), name="schedule_retries_are_0_to_10"),
            models.CheckConstraint(
                condition=models.Q(status="failed") | models.Q(next_retry_at__isnull=True),
                name="schedule_retry_follows_failure",
            ),
            models.CheckConstraint(
                condition=models.Q(cron="", series__isnull=True) | ~models.Q(cron=""),
                name="schedule_series_recurs",
            ),
            models.UniqueConstraint(fields=["series", "scheduled_at"], name="schedule_once_each_time"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["scheduled_at", "id"], condition=models.Q(status="pending"), name="schedule_due"),
            models.Index(
                fields=["flag", "scheduled_at", "id"],
                condition=models.Q(status__in=["pending", "failed"]),
                name="schedule_in_line_for_flag",
            ),
            models.Index(fields=["organization", "-id"], name="schedule_of_organization"),
        ]

    def __str__(self) -> str:
        what = ", ".join(f"{name} {value}" for name, value in self.wanted.items())
        return f"{self.flag_key}: {what}"

    @property
    def subject(self) -> str:
        """What the history calls it."""
        return f"flag-schedule:{self.pk}"

    @property
    def is_open(self) -> bool:
        """Whether it will be tried, sooner or later."""
        return self.status == self.Status.PENDING or self.next_retry_at is not None
