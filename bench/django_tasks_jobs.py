"""Jobs that do nothing in django-tasks-db, which keeps them in PostgreSQL. See `other_queue.py`."""

from __future__ import annotations

import logging

import django
from django.conf import settings
from other_queue import URL, OtherQueue, main
from psycopg.conninfo import conninfo_to_dict

_parts = {name.upper(): value for name, value in conninfo_to_dict(URL).items()}
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django_tasks", "django_tasks_db"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql", "NAME": _parts.pop("DBNAME"), "CONN_MAX_AGE": 600,
            **{name: value for name, value in _parts.items() if name in {"HOST", "PORT", "USER", "PASSWORD"}},
        }
    },
    TASKS={"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}},
    USE_TZ=True,
)  # fmt: skip
django.setup()

from django.core.management import call_command  # noqa: E402 - Django needs the settings first
from empty_tasks import nothing, slow  # noqa: E402


class DjangoTasksDb(OtherQueue):
    """Its worker runs one job at a time, so each slot is a process."""

    def prepare(self) -> None:
        call_command("migrate", verbosity=0)

    def create(self) -> None:
        nothing.enqueue()

    def create_slow(self) -> None:
        slow.enqueue()

    def work(self, slots: int) -> None:
        logging.disable()
        call_command("db_worker", "--no-startup-delay", "--interval", "0.1", "--verbosity", "0")


if __name__ == "__main__":
    main(DjangoTasksDb())
