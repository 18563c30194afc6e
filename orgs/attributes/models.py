"""The own attributes of organizations. What an organization inherits is computed when somebody asks."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models

from orgs.attributes.attribute_rules import MAX_NAME
from orgs.tree.models import Organization


class OrganizationAttribute(models.Model):
    """One attribute of one organization, which counts for everything below it too. The JSON null ends what is above."""

    id = models.BigAutoField(primary_key=True)
    organization = models.ForeignKey(Organization, on_delete=models.DO_NOTHING, db_index=False, related_name="+")
    name = models.CharField(max_length=MAX_NAME)
    value: models.JSONField[Any, Any] = models.JSONField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "name"], name="one_attribute_of_a_name"),
            models.CheckConstraint(condition=models.Q(name__regex=r"^[A-Za-z][A-Za-z0-9_-]*$"), name="attribute_name"),
        ]

    def __str__(self) -> str:
        return self.name
