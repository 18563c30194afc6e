"""The models of usage and adoption."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from flags.definitions.models import Flag


class FlagUse(models.Model):
    """The usage of a flag in one organization: the number of evaluations, and the time of the last one.

    `flag_id` 0 stands for evaluations of all flags at once, because one row is faster to write than a row for each
    flag. `organization_id` 0 stands for evaluations without an organization. The hourly count of adoption deletes rows
    of deleted flags and organizations.
    """

    pk = models.CompositePrimaryKey("flag_id", "organization_id")
    flag_id = models.BigIntegerField()
    organization_id = models.BigIntegerField()
    evaluations = models.BigIntegerField()
    last_evaluated_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.flag_id or 'all flags'} for {self.organization_id or 'nobody'}: {self.evaluations}"


class FlagUseDay(models.Model):
    """The evaluations of a flag in one organization on one day in UTC; the ids 0 mean the same as in `FlagUse`.

    The clean-up deletes the days that are older than FLAG_USAGE_KEEP_DAYS, with what deleted organizations had.
    """

    pk = models.CompositePrimaryKey("day", "organization_id", "flag_id")
    day = models.DateField()
    organization_id = models.BigIntegerField()
    flag_id = models.BigIntegerField()
    evaluations = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.day}: {self.flag_id or 'all flags'} for {self.organization_id or 'nobody'}: {self.evaluations}"


class EnvironmentUseDay(models.Model):
    """The evaluations in one environment on one day in UTC, of all flags and organizations together.

    `environment` is empty for evaluations without one, and `*` for environments that are not counted by their names.
    The clean-up deletes the days that are older than FLAG_USAGE_KEEP_DAYS.
    """

    pk = models.CompositePrimaryKey("day", "environment")
    day = models.DateField()
    environment = models.CharField(max_length=64)
    evaluations = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.day}: {self.environment or 'no environment'}: {self.evaluations}"


class FlagUseTotal(models.Model):
    """The usage of a flag in all organizations together. `flag_id` 0 stands for evaluations of all flags at once."""

    flag_id = models.BigIntegerField(primary_key=True)
    evaluations = models.BigIntegerField()
    first_evaluated_at = models.DateTimeField()
    last_evaluated_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.flag_id or 'all flags'}: {self.evaluations}"


class FlagAdoption(models.Model):
    """The last count of a flag's adoption: the number of organizations with the flag on and off.

    An organization for which nobody set the flag (`unset`) counts by the flag's default. `on_sources` and `off_sources`
    are the numbers of organizations on which these values were set. `on_biggest` and `off_biggest` have the ids of the
    sources with the largest number of organizations. `on_numbers` has the numbers of organizations that are on with
    a variant of their own choice, by the number of this variant; all custom values have FIRST_CUSTOM_VALUE. If all
    organizations have the same value, it is `same_value`, and `same_since` is the time since when; otherwise both are
    None.
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
    on_numbers = models.JSONField(default=dict, db_default={})
    same_value = models.BooleanField(null=True)
    same_since = models.DateTimeField(null=True)
    counted_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.flag_id}: on for {self.organizations_on}, off for {self.organizations_off}"

    @property
    def numbers_on(self) -> dict[int, int]:
        """`on_numbers` by number. JSON has names in place of numbers."""
        return {int(number): organizations for number, organizations in self.on_numbers.items()}


class StaleFlagNotice(models.Model):
    """A flag that is stale, and of which the event `flag.stale` was told."""

    flag_id = models.BigIntegerField(primary_key=True)
    noticed_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"flag {self.flag_id}"
