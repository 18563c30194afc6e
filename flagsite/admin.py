"""Pages of the admin site for models of packages that we use, in our theme and by our roles."""

from __future__ import annotations

from django.contrib import admin
from rest_framework_api_key.models import APIKey

from flagsite.admin_site import people, periodic_tasks  # noqa: F401 - each registers its pages

admin.site.unregister(APIKey)  # the package's own kind of key, which nothing here accepts
