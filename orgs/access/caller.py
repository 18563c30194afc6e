"""The caller: an authenticated program or person, what they may do and which subtree they see."""

from __future__ import annotations

from dataclasses import dataclass

from orgs.access.models import Role


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated client: an access key or a person signed in to the admin site.

    `name` is what records show ("key:4fG6aB nightly-sync", "user:alice"); `organization_id` is the top of what
    the caller may see and change, None for everything.
    """

    name: str
    role: Role
    organization_id: int | None = None
    is_authenticated: bool = True

    def may(self, needed: Role) -> bool:
        """Whether the caller's role includes `needed`."""
        return self.role.includes(needed)
