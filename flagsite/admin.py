"""Pages of the admin site for models of other packages, with Flagsite's theme and roles."""

from __future__ import annotations

from django.contrib import admin
from rest_framework_api_key.models import APIKey

from flagsite.admin_site import people, periodic_tasks  # noqa: F401 - the import registers the pages

admin.site.unregister(APIKey)  # the package's own access keys, which Flagsite does not accept
