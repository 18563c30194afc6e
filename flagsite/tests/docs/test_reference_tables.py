"""What the reference systems promise of tables, migrations and the project itself, apart from any behaviour."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.migrations.loader import MigrationLoader

from flags.definitions.models import Flag
from flags.schedules.models import FlagSchedule

ROOT = Path(__file__).resolve().parents[3]
OURS = ("orgs", "jobs", "flags")
SCHEDULED = """
INSERT INTO flags_flagschedule (flag_id, flag_key, wanted, scheduled_at, created_by)
VALUES (%s, 'checkout', '{"enabled": true}', now(), 'user:ada')
RETURNING id
"""
INDEXES = {
    "jobs_job": {"parent_job_id", "organization_id", "status", "created_at"},
    "flags_flagschedule": {"next_retry_at"},
}
"""Columns by which rows of millions are found."""


def constraints_of(table: str) -> dict[str, Any]:
    """The indexes and constraints of a table, by name."""
    with connection.cursor() as cursor:
        return dict(connection.introspection.get_constraints(cursor, table))


@pytest.mark.django_db
@pytest.mark.parametrize("table", INDEXES)
def test_columns_by_which_rows_are_found_have_an_index(table: str) -> None:
    found = [one["columns"] for one in constraints_of(table).values() if one["index"] or one["unique"]]
    assert INDEXES[table] <= {columns[0] for columns in found if columns}


@pytest.mark.django_db
def test_a_retry_refers_to_its_first_job() -> None:
    keys = [one["columns"] for one in constraints_of("jobs_job").values() if one["foreign_key"] == ("jobs_job", "id")]
    assert ["parent_job_id"] in keys


@pytest.mark.django_db
def test_a_scheduled_change_that_somebody_inserts_by_sql_has_no_retry_made_and_three_to_come() -> None:
    flag = Flag.objects.create(key="checkout")
    with connection.cursor() as cursor:
        cursor.execute(SCHEDULED, [flag.pk])
        schedule = FlagSchedule.objects.get(pk=cursor.fetchone()[0])
    made = FlagSchedule()
    for field in FlagSchedule._meta.concrete_fields:
        if field.has_default():
            assert getattr(schedule, field.attname) == getattr(made, field.attname), field.name
    assert (schedule.status, schedule.retry_count, schedule.max_retries) == ("pending", 0, 3)
    for column in ("retry_count", "max_retries"):
        with pytest.raises(IntegrityError), transaction.atomic():
            FlagSchedule.objects.update(**{column: None})


def test_each_migration_can_be_undone() -> None:
    migrations = MigrationLoader(None).disk_migrations
    stuck = [key for key, migration in migrations.items() if key[0] in OURS
             for operation in migration.operations if not operation.reversible]  # fmt: skip
    assert stuck == []


def test_the_project_has_the_folders_and_packages_of_the_card() -> None:
    for path in ("manage.py", "flagsite/settings.py", "flagsite/celery.py", "flagsite/urls.py", "orgs", "jobs", "flags",
                 "jobs/tasks.py", "flags/tasks.py", "pytest.ini", "requirements.txt"):  # fmt: skip
        assert (ROOT / path).exists(), path
    pinned = (ROOT / "requirements.txt").read_text() + (ROOT / "requirements-dev.txt").read_text()
    for package in ("django", "djangorestframework", "django-mptt", "celery", "redis", "django-celery-beat", "psycopg",
                    "pytest-django"):  # fmt: skip
        assert f"\n{package}==" in pinned or f"\n{package}[" in pinned, package
