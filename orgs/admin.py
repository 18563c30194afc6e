"""The admin site's pages of this app; each module registers its own."""

from orgs import history_admin, key_admin, organization_admin  # noqa: F401
