"""How often flags are evaluated, and on how many organizations each is on."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from flags.definitions.models import Flag


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
