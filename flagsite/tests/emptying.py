"""What tests with real transactions leave: a database as the migrations have made it, with little work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group
from django.contrib.contenttypes.management import create_contenttypes
from django.db import connection
from django.db.models import Model
from django.db.models.signals import post_migrate

from flags.history.models import HistoryBegin
from jobs.engine.models import Queue

KEPT = frozenset({"auth_permission", "django_content_type"})
"""Tables that no test changes. To fill them again takes longer than to empty all other tables."""


def rows_of_migrations() -> list[list[Model]]:
    """Return the rows that migrations have made and that tests change: queues, groups, and the begin of history."""
    return [list(Queue.objects.all()), list(Group.objects.all()), list(HistoryBegin.objects.all())]


@contextmanager
def leaving_what_migrations_made(made: list[list[Model]]) -> Iterator[None]:
    """Within the block, Django's flush keeps KEPT, and these rows are there again after it.

    Django empties the database with this flush after each test with real transactions.
    """
    operations = type(connection.ops)
    sql_flush = operations.sql_flush

    def sql_flush_of_the_others(self: Any, style: Any, tables: list[str], **options: Any) -> list[str]:
        return sql_flush(self, style, [table for table in tables if table not in KEPT], **options)

    def make_again(**_: object) -> None:  # a flush emits the signal that a migration emits
        for rows in made:
            type(rows[0])._default_manager.bulk_create(rows)

    jobs = apps.get_app_config("jobs")
    post_migrate.disconnect(create_permissions, dispatch_uid="django.contrib.auth.management.create_permissions")
    post_migrate.disconnect(create_contenttypes)
    post_migrate.connect(make_again, sender=jobs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operations, "sql_flush", sql_flush_of_the_others)
        yield
    post_migrate.disconnect(make_again, sender=jobs)
