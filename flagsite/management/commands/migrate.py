"""The command `migrate`: Django's own, on a connection past a connection pooler, and not on an unsuitable database."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate

from flagsite.core.adapters.django_orm import connect_directly
from flagsite.core.db.requirements import refuse_unsuitable_database


class Command(migrate.Command):
    """Django's command `migrate`."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate the database to which DATABASE_DIRECT_URL leads, or DATABASE_URL without it."""
        connect_directly()
        refuse_unsuitable_database()
        super().handle(*args, **options)
