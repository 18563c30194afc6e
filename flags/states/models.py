"""The models of settings, changes and flag states."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from flags.definitions.models import Flag
from flags.states.setting_rules import LOCK, NONE, SET
from flags.values.stored_json import StoredJson
from flags.values.variants import BY_ENABLED, FIRST_CUSTOM_VALUE, word_of
from flagsite.core.db.clock import ClockTimestamp
from jobs.engine.models import Job
from orgs.tree.models import Organization

IS_COMPLETE = """
CASE WHEN change.job_id IS NULL THEN change.is_partial IS FALSE
     ELSE EXISTS (SELECT FROM jobs_job attempt
                   WHERE (attempt.id = change.job_id OR attempt.parent_job_id = change.job_id)
                     AND attempt.ended_as = 'COMPLETED' AND attempt.failed = 0) END"""
"""A condition in SQL: the change (`change`) has reached every organization of its subtree."""


NUMBER_OF_VARIANT = "The number of a variant or custom value of the flag; 0 stands for none in particular."
MOVE, EXEMPT = "move", "exempt"
"""The kinds of changes that are no settings: a move, and the begin or the end of an exemption."""


class Change(models.Model):
    """One accepted request to set, lock or reset a flag on an organization.

    `number` is the change number: it comes from the sequence flags_change_number. A move of an organization is also
    recorded as changes, one for each flag with a setting on its former or its new path. The `source` of a change is the
    organization whose setting decides about the value. The settings say what the change did
    (`flags.states.models.FlagSetting`); its job writes what the settings decide.
    """

    id = models.BigAutoField(primary_key=True)
    number = models.BigIntegerField()
    flag = models.ForeignKey(Flag, on_delete=models.CASCADE, db_index=False, related_name="changes")
    organization = models.ForeignKey(
        Organization, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    kind = models.CharField(
        max_length=6, default="set", db_default="set", help_text="That of the setting, `exempt` or `move`."
    )
    enabled = models.BooleanField(
        null=True, help_text="The value on the organization since the change. Empty if there is none."
    )
    variant = models.IntegerField(default=BY_ENABLED, db_default=BY_ENABLED, help_text=NUMBER_OF_VARIANT)
    source = models.ForeignKey(
        Organization, on_delete=models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
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
    settled_at = models.DateTimeField(
        null=True, help_text="When its job had ended, if the job was deleted since. The job tells it until then."
    )
    is_uniform = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Whether the change gives its one value to the whole subtree, since nothing set below counts.",
    )
    requested_by = models.CharField(max_length=200, default="")
    created_at = models.DateTimeField(db_default=ClockTimestamp())

    class Meta:
        indexes: ClassVar = [
            # placements read the latest change of a flag on each ancestor
            models.Index(fields=["organization", "flag", "-number"], name="change_on_organization"),
            # the page of a flag shows its latest changes
            models.Index(fields=["flag", "-number"], name="change_of_flag"),
            # an undo finds a change by its number
            models.Index(fields=["number"], name="change_by_number"),
            # whoever removes a variant asks for the changes to it, and the clean-up for those to a custom value
            models.Index(
                fields=["flag", "variant", "-number"],
                name="change_to_variant",
                condition=models.Q(variant__gt=BY_ENABLED),
            ),
            # whoever removes a variant asks which changes have not reached their whole subtree
            models.Index(
                fields=["flag"],
                name="partial_change",
                condition=models.Q(is_partial=True) | models.Q(is_partial__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.flag_id} {self.value_in_words} at {self.organization_id} (number {self.number})"

    @property
    def value_in_words(self) -> str:
        """The value for people: "on", "off", the key of a variant, "a custom value" or "the default"."""
        variant = word_of(self.variant, self.flag.variants) if self.variant else ""
        return variant or {True: "on", False: "off", None: "the default"}[self.enabled]


class FlagState(models.Model):
    """The stored value of one flag for one organization. Reads look up this row by its primary key.

    The table is made for many updates. No index contains a column that a change writes, and each page keeps space for a
    second version of its rows (fillfactor 50). So PostgreSQL can update rows without touching indexes (heap-only
    updates), and the next update reuses the space. The foreign keys have no constraints, because checking four
    constraints would cost more than writing the row. Rows are created and deleted only under the tree lock, together
    with their organization.

    A row with an empty value is as good as none: no setting decides, and the flag's default counts. It stays for its
    change number, so that the chunk of an older change does not write the row any more. `locked` says that a lock
    decides.
    """

    pk = models.CompositePrimaryKey("organization_id", "flag_id")
    organization = models.ForeignKey(
        Organization, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="flag_states"
    )
    flag = models.ForeignKey(
        Flag, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="states"
    )
    source = models.ForeignKey(
        Organization, on_delete=models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    change_number = models.BigIntegerField()
    job = models.ForeignKey(
        Job, on_delete=models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    updated_at = models.DateTimeField(db_default=Now())
    enabled = models.BooleanField(null=True)  # after the wider columns, so that a row has no gaps
    locked = models.BooleanField(default=False, db_default=False)
    variant = models.IntegerField(default=BY_ENABLED, db_default=BY_ENABLED)

    def __str__(self) -> str:
        return f"{self.flag_id} is {'on' if self.enabled else 'off'} for {self.organization_id}"

    @property
    def inherited(self) -> bool:
        """Whether the value was set on an ancestor of the organization."""
        return self.source_id not in (None, self.organization_id)


class FlagSetting(models.Model):
    """An explicit decision about one flag on one organization. Settings are the truth; flag states are the answer.

    The topmost lock on the path that no exemption lifts decides about the value of a flag for an organization; without
    one, the nearest setting, on the organization or above it; without one, the flag's default
    (`flags.states.setting_rules`). The change number of a flag state is the highest `number` on the path. Settings
    below a lock stay, and count again when it is gone. A request to overwrite everything below ends the settings below:
    they get the kind `none` and the number of the change. A move carries settings along, and gives the setting of the
    moved organization a new number, so that the numbers below rise. `decision` is the number of the change that has
    decided the setting. Moves and exemptions leave it, and an undo brings the former one back, so that an earlier
    change can still be undone.
    """

    class Kind(models.TextChoices):
        """What was decided."""

        SET = SET
        LOCK = LOCK
        NONE = NONE

    pk = models.CompositePrimaryKey("organization_id", "flag_id")
    organization = models.ForeignKey(
        Organization, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    flag = models.ForeignKey(Flag, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    number = models.BigIntegerField()
    decision = models.BigIntegerField(db_default=0, help_text="The number of the change that has decided this.")
    kept_from = models.ForeignKey(
        Organization, on_delete=models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+",
        help_text="The organization on which the value was set, if the organization has kept it in a move.",
    )  # fmt: skip
    exempt_from = models.ForeignKey(
        Organization, on_delete=models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+",
        help_text="The organization whose lock, and all locks between, do not hold here and below.",
    )  # fmt: skip
    created_at = models.DateTimeField(db_default=ClockTimestamp())
    expires_at = models.DateTimeField(null=True, help_text="When the set or the lock ends by itself.")
    exempt_until = models.DateTimeField(null=True, help_text="When the exemption ends by itself.")
    kind = models.CharField(max_length=6, choices=Kind.choices)
    enabled = models.BooleanField(null=True, help_text="Empty if nothing is set.")
    variant = models.IntegerField(default=BY_ENABLED, db_default=BY_ENABLED, help_text=NUMBER_OF_VARIANT)
    only_here = models.BooleanField(
        default=False, db_default=False, help_text="Whether the value does not count for organizations below."
    )
    requested_by = models.CharField(max_length=200, default="")
    reason = models.TextField(default="")

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                name="setting_has_a_value_if_it_is_set",
                condition=models.Q(kind__in=[SET, LOCK], enabled__isnull=False)
                | models.Q(kind=NONE, enabled__isnull=True),
            ),
            models.CheckConstraint(
                name="setting_with_a_variant_is_on", condition=models.Q(variant=BY_ENABLED) | models.Q(enabled=True)
            ),
            models.CheckConstraint(
                name="only_a_set_is_only_here", condition=models.Q(only_here=False) | models.Q(kind=SET)
            ),
        ]
        indexes: ClassVar = [
            # whoever sets a flag finds the settings of this flag below
            models.Index(fields=["flag", "organization"], name="setting_of_flag"),
            # a periodic task ends settings and exemptions
            models.Index(
                fields=["expires_at"], name="setting_that_expires", condition=models.Q(expires_at__isnull=False)
            ),
            models.Index(fields=["flag"], name="lock_of_flag", condition=models.Q(kind=LOCK)),
            # as `change_to_variant`
            models.Index(
                fields=["flag", "variant", "organization"],
                name="setting_to_variant",
                condition=models.Q(variant__gt=BY_ENABLED),
            ),
            models.Index(
                fields=["flag", "exempt_from"],
                name="exemption_from_lock",
                condition=models.Q(exempt_from__isnull=False),
            ),
            models.Index(
                fields=["exempt_until"], name="exemption_that_expires", condition=models.Q(exempt_until__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.flag_id} {self.kind} at {self.organization_id} (number {self.number})"

    @property
    def variant_in_words(self) -> str:
        """The variant or custom value for people; empty if the setting names none."""
        return word_of(self.variant, self.flag.variants) if self.variant else ""


class CustomValue(models.Model):
    """A JSON value that a setting has given in place of a variant. Settings and flag states name it by its id.

    A row never changes, and settings with the same value share it. So a flag state means the same value before and
    after its setting is replaced, however far the propagation is. The clean-up deletes a row that nothing names any
    more (`flags.states.unused_custom_values`).
    """

    id = models.AutoField(primary_key=True)
    flag = models.ForeignKey(Flag, on_delete=models.CASCADE, db_index=False, related_name="custom_values")
    value = models.JSONField(decoder=StoredJson)
    digest = models.BinaryField(max_length=16, help_text="The hash of the value in its canonical form.")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["flag", "digest"], name="custom_value_of_flag")]

    def __str__(self) -> str:
        return f"{self.flag_id} {self.value!r}"


class ReplacedSetting(models.Model):
    """A setting as it was before a change replaced or ended it: for an undo, and for looks into the past.

    A trigger writes it whenever a setting gets another change number. `replaced_by` is this number, and `number` the
    one that the setting had: 0 and the kind `none` if there was none. The trigger writes it also if the exemption of a
    setting ends because the lock is gone, and if the organization is deleted; then `replaced_by` is 0. Organizations
    and flags may be gone by now.
    """

    id = models.BigAutoField(primary_key=True)
    organization_id = models.BigIntegerField()
    flag_id = models.BigIntegerField()
    replaced_by = models.BigIntegerField()
    number = models.BigIntegerField()
    decision = models.BigIntegerField(db_default=0)
    kept_from_id = models.BigIntegerField(null=True)
    exempt_from_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField()
    replaced_at = models.DateTimeField(db_default=ClockTimestamp())
    expires_at = models.DateTimeField(null=True)
    exempt_until = models.DateTimeField(null=True)
    kind = models.CharField(max_length=6)
    enabled = models.BooleanField(null=True)
    variant = models.IntegerField(default=BY_ENABLED, db_default=BY_ENABLED)
    only_here = models.BooleanField(default=False)
    requested_by = models.CharField(max_length=200, default="")
    reason = models.TextField(default="")

    class Meta:
        indexes: ClassVar = [
            # an undo reads what one change has replaced
            models.Index(fields=["replaced_by"], name="setting_replaced_by"),
            # a look into the past asks for the setting that held then
            models.Index(fields=["organization_id", "flag_id", "replaced_at"], name="former_setting"),
            # a purge deletes those of one flag
            models.Index(fields=["flag_id"], name="replaced_setting_of_flag"),
            # the clean-up asks which custom values are named
            models.Index(
                fields=["flag_id", "variant"],
                name="custom_value_replaced",
                condition=models.Q(variant__gte=FIRST_CUSTOM_VALUE),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.flag_id} {self.kind} at {self.organization_id} until change {self.replaced_by}"


class DriftedState(models.Model):
    """A flag state that was not what the settings say when Flagsite looked (`flags.states.drift`)."""

    pk = models.CompositePrimaryKey("organization_id", "flag_id")
    organization_id = models.BigIntegerField()
    flag_id = models.BigIntegerField()
    difference = models.CharField(max_length=16, help_text="`wrong`, `missing` or `extra`.")
    found_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.flag_id} at {self.organization_id} is {self.difference}"
