"""The app of Django's admin site, with Flagsite's own site."""

from __future__ import annotations

from django.contrib.admin.apps import AdminConfig


class FlagsiteAdminConfig(AdminConfig):
    default_site = "flagsite.admin_site.site.FlagsiteAdminSite"
