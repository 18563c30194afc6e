"""The Django project as an app, so that Django finds its commands."""

from django.apps import AppConfig
from django.db.backends.signals import connection_created


class FlagsiteConfig(AppConfig):
    name = "flagsite"

    def ready(self) -> None:
        """Prepare every new database connection, or refuse it."""
        from flagsite.core.adapters.django_orm import remember_connection  # noqa: PLC0415 - after Django's apps
        from flagsite.core.db.requirements import prepare_connection  # noqa: PLC0415

        connection_created.connect(prepare_connection)
        connection_created.connect(remember_connection)
