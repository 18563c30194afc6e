"""The URL paths of the organizations."""

from __future__ import annotations

from django.urls import path

from flagsite.core.api import path_converters  # noqa: F401 - paths registers <id:…>
from orgs.tree import api

urlpatterns = [
    path("organizations", api.Organizations.as_view(), name="organizations"),
    path("organizations/<id:organization_id>", api.OneOrganization.as_view(), name="organization"),
    path("organizations/<id:organization_id>/ancestors", api.Ancestors.as_view(), name="ancestors"),
    path("organizations/<id:organization_id>/descendants", api.Descendants.as_view(), name="descendants"),
]
