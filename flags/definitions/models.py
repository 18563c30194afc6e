"""The model of flags, which holds their definitions."""

from __future__ import annotations

import re
import secrets
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Now

from flags.errors import FlagNotFound, InvalidFlagKey
from flags.values.stored_json import StoredJson
from flags.values.types import FlagType
from flagsite.core.db.clock import ClockTimestamp

FLAG_KEY_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}"
FLAG_KEY = RegexValidator(rf"\A{FLAG_KEY_PATTERN}\Z", "1 to 255 of A-Z a-z 0-9 . _ -, starting with a letter or digit.")


def new_salt() -> str:
    """Return a random salt. With it, the buckets of a flag differ from those of a purged flag that had the same key."""
    return secrets.token_hex(4)


def check_flag_key(key: str) -> None:
    """Raise InvalidFlagKey if the text cannot be the key of a flag."""
    if not re.fullmatch(FLAG_KEY_PATTERN, key):
        raise InvalidFlagKey


class FlagQuerySet(models.QuerySet["Flag"]):
    """Look-ups of flags."""

    def called(self, key: str) -> Flag:
        """Return the flag with this key. Raises FlagNotFound."""
        flag = self.filter(key=key).first()
        if flag is None:
            raise FlagNotFound(f"There is no flag {key!r}.")
        return flag


class Flag(models.Model):
    """A flag with its definition: the fields that are the same for all organizations."""

    class Kind(models.TextChoices):
        """The purpose of a flag, on which its life time depends."""

        RELEASE = "release", "Release: goes once all have it"
        EXPERIMENT = "experiment", "Experiment: goes once it is decided"
        OPERATIONAL = "operational", "Operational: stays, a switch for operators"
        PERMISSION = "permission", "Permission: stays, what a customer has bought"

    class Unit(models.TextChoices):
        """The unit that a rollout percentage counts."""

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
    salt = models.CharField(
        max_length=400, default=new_salt, db_default="", help_text="Another salt picks other users."
    )
    hash_version = models.PositiveSmallIntegerField(default=1, db_default=1, help_text="The formula of the buckets.")
    whitelist = ArrayField(
        models.CharField(max_length=255),
        default=list,
        db_default=[],
        blank=True,
        help_text="Targeting keys that always have it.",
    )
    targeting_rules = models.JSONField(
        "rules",
        default=list,
        db_default=[],
        blank=True,
        decoder=StoredJson,
        help_text="Targeting rules, in their order: the first that matches decides, before the organization's value.",
    )
    type = models.CharField(
        max_length=8,
        choices=[(each.value, each.value) for each in FlagType],
        default=FlagType.BOOLEAN.value,
        db_default=FlagType.BOOLEAN.value,
        help_text="The type of its values. It never changes.",
    )
    variants = models.JSONField(
        default=list,
        db_default=[],
        blank=True,
        decoder=StoredJson,
        help_text="Its values, each with a key. Empty for a boolean flag.",
    )
    variants_made = models.PositiveSmallIntegerField(
        default=0, db_default=0, editable=False, help_text="The highest number that a variant has ever had."
    )
    default_variant = models.CharField(
        max_length=255,
        default="",
        db_default="",
        blank=True,
        help_text="The key of the variant that is served where it is on and nothing else decides.",
    )
    default_rollout = models.JSONField(
        null=True,
        blank=True,
        help_text='Parts get different variants in place of the default variant: {"rollout": {"blue": 70, "red": 30}}.',
    )
    off_variant = models.CharField(
        max_length=255,
        default="",
        db_default="",
        blank=True,
        help_text="The key of the variant that is served where it is off. Empty if there is no value then.",
    )
    value_schema = models.JSONField(
        "schema",
        null=True,
        blank=True,
        decoder=StoredJson,
        help_text="A JSON Schema that each of its values has to fit.",
    )
    environments = models.JSONField(
        default=dict, db_default={}, blank=True, help_text='Forces it on or off in an environment: {"staging": true}.'
    )
    prerequisites = models.ManyToManyField(
        "self", symmetrical=False, blank=True, related_name="dependents", help_text="Flags that must be on."
    )
    prerequisite_wants = models.JSONField(
        "what they must be",
        default=dict,
        db_default={},
        blank=True,
        help_text="Of prerequisites that must be something else than on. Kept beside their keys.",
    )
    owner = models.CharField(max_length=200, default="", db_default="", blank=True)
    tags = ArrayField(models.CharField(max_length=64), default=list, db_default=[], blank=True)
    kind = models.CharField(max_length=16, choices=Kind.choices, default=Kind.RELEASE, db_default=Kind.RELEASE)
    expires_on = models.DateField(null=True, blank=True, help_text="When it should be gone from the code.")
    available_to_clients = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Access keys with the role client can evaluate it. Tick it only if users may know the flag.",
    )
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
    created_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)
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
        """The flag's id and version. It differs from every revision of a purged flag that had the same key."""
        return f"{self.pk}-{self.version}"
