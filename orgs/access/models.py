"""Who may do what: roles, access keys of programs, and the scope of a member of staff."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from rest_framework_api_key.models import AbstractAPIKey

from orgs.tree.models import Organization


class Role(models.TextChoices):
    """What a caller may do; each role may do all that the ones before it may."""

    READER = "reader", "Reader: sees"
    EDITOR = "editor", "Editor: sets flags"
    OPERATOR = "operator", "Operator: retries and cancels jobs"
    ADMIN = "admin", "Admin: changes the organization tree"

    def includes(self, needed: Role) -> bool:
        """Whether this role may do what `needed` may."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class AccessKey(AbstractAPIKey):
    """A key that a program sends with its requests; only its hash is stored."""

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
    """Binds a member of staff to an organization: in the admin site and on the API they see its subtree only."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="scope")
    organization = models.ForeignKey(
        Organization, on_delete=models.PROTECT, related_name="+", help_text="They see it and what is below it."
    )

    def __str__(self) -> str:
        return f"{self.user} sees {self.organization}"
