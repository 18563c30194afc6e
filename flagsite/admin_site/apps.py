"""The apps of Django and of django-celery-beat with the words of Flagsite, and the admin site."""

from __future__ import annotations

from django.apps import apps
from django.contrib.admin.apps import AdminConfig
from django_celery_beat.apps import BeatConfig


class FlagsiteAdminConfig(AdminConfig):
    default_site = "flagsite.admin_site.site.FlagsiteAdminSite"

    def ready(self) -> None:
        """Give the pages of Django's users the names of the side bar."""
        super().ready()
        access = apps.get_app_config("auth")
        access.verbose_name = "Access"
        person = access.get_model("User")._meta
        person.verbose_name, person.verbose_name_plural = "person", "people"


class PeriodicTasksConfig(BeatConfig):
    verbose_name = "Periodic tasks"
