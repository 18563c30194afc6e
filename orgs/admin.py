"""The pages of the admin site about organizations; each module registers its own."""

from orgs.access import access_key_admin  # noqa: F401
from orgs.audit import admin as audit_admin  # noqa: F401
from orgs.tree import admin as tree_admin  # noqa: F401
