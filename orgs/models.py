"""Imports the models of all folders, because Django looks for an app's models here."""

from orgs.access.models import AccessKey, StaffScope
from orgs.audit.models import AuditEntry
from orgs.idempotency.models import IdempotentRequest
from orgs.tree.models import Organization

__all__ = ["AccessKey", "AuditEntry", "IdempotentRequest", "Organization", "StaffScope"]
