"""The apps of Django and of django-celery-beat with the words of Flagsite, and the admin site."""

from __future__ import annotations

from django.contrib.admin.apps import AdminConfig
from django.contrib.auth.apps import AuthConfig
from django_celery_beat.apps import BeatConfig


class FlagsiteAdminConfig(AdminConfig):
    default_site = "flagsite.admin_site.site.FlagsiteAdminSite"


class AccessConfig(AuthConfig):
    """Django's users, who are people in Flagsite. The name stands above their pages, as in the side bar."""

    verbose_name = "Access"

    def ready(self) -> None:
        super().ready()
        person = self.get_model("User")._meta
        person.verbose_name, person.verbose_name_plural = "person", "people"


class PeriodicTasksConfig(BeatConfig):
    verbose_name = "Periodic tasks"
