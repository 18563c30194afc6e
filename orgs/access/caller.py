"""The caller: an authenticated program or person, with a role and perhaps a scope."""

from __future__ import annotations

from dataclasses import dataclass

from orgs.access.models import Role


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated client: an access key or a person signed in to the admin site.

    `name` is the actor in audit entries ("key:4fG6aB nightly-sync", "user:alice"). `organization_id` is the top
    organization of the caller's scope; None means everything.
    """

    name: str
    role: Role
    organization_id: int | None = None
    is_authenticated: bool = True

    def may(self, needed: Role) -> bool:
        """Return whether the caller's role includes `needed`."""
        return self.role.includes(needed)
