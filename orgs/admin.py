"""Imports the admin pages of this app; each imported module registers its pages."""

from orgs.access import access_key_admin  # noqa: F401
from orgs.audit import admin as audit_admin  # noqa: F401
from orgs.tree import admin as tree_admin  # noqa: F401
