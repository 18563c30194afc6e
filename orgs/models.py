"""Imports the models of all folders, because Django looks for an app's models here."""

from orgs.access.models import AccessKey, AccessKeyUse, StaffScope
from orgs.attributes.models import OrganizationAttribute
from orgs.audit.models import AuditEntry
from orgs.idempotency.models import IdempotentRequest
from orgs.tree.models import Organization

__all__ = [
    "AccessKey",
    "AccessKeyUse",
    "AuditEntry",
    "IdempotentRequest",
    "Organization",
    "OrganizationAttribute",
    "StaffScope",
]
