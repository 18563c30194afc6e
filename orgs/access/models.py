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

    class Meta(AbstractAPIKey.Meta):
        verbose_name = "access key"
        verbose_name_plural = "access keys"
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="access_key_role_is_known")
        ]


class StaffScope(models.Model):
    """The scope of a person: in the admin site and in the API, the person has access to this subtree only."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="scope")
    organization = models.ForeignKey(
        Organization, on_delete=models.PROTECT, related_name="+", help_text="They see it and what is below it."
    )

    def __str__(self) -> str:
        return f"{self.user} sees {self.organization}"
