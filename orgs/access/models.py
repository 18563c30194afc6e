"""The models of access: roles, access keys of programs, and scopes of people."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from rest_framework_api_key.models import AbstractAPIKey

from orgs.tree.models import Organization


class Role(models.TextChoices):
    """A role; each role includes the roles before it."""

    CLIENT = "client", "Client: evaluates the flags that are available to clients"
    EVALUATOR = "evaluator", "Evaluator: evaluates all flags"
    READER = "reader", "Reader: sees"
    EDITOR = "editor", "Editor: sets flags"
    OPERATOR = "operator", "Operator: retries and cancels jobs"
    ADMIN = "admin", "Admin: changes the organization tree"

    def includes(self, needed: Role) -> bool:
        """Return whether this role includes the role `needed`."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class NextNumber(models.Func):
    """The next number of an access key, from a sequence of PostgreSQL."""

    template = "nextval('orgs_accesskey_number')"
    output_field = models.BigIntegerField()


class AccessKey(AbstractAPIKey):
    """A secret key that a program sends with its requests. Flagsite stores only its hash."""

    role = models.CharField(max_length=16, choices=Role.choices, default=Role.READER)
    organization = models.ForeignKey(
        Organization,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="access_keys",
        help_text="The key sees and changes this organization and what is below it; empty: everything.",
    )

    number = models.BigIntegerField(
        unique=True, editable=False, db_default=NextNumber(), help_text="The position of the key in lists."
    )
    successor = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        help_text="The key that replaces this one after a rotation.",
    )

    class Meta(AbstractAPIKey.Meta):
        verbose_name = "access key"
        verbose_name_plural = "access keys"
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="access_key_role_is_known")
        ]


class AccessKeyUse(models.Model):
    """The time of a key's last use. `orgs.access.key_uses` writes it, at most once a minute for each key."""

    access_key = models.OneToOneField(AccessKey, on_delete=models.CASCADE, primary_key=True, related_name="use")
    last_used_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.access_key_id} was used at {self.last_used_at}"


class StaffScope(models.Model):
    """The scope of a person: in the admin site and in the API, the person has access to this subtree only."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="scope")
    organization = models.ForeignKey(
        Organization, on_delete=models.PROTECT, related_name="+", help_text="They see it and what is below it."
    )

    def __str__(self) -> str:
        return f"{self.user} sees {self.organization}"
