"""Paths of the organizations."""

from __future__ import annotations

from django.urls import path

from orgs import paths, views  # noqa: F401 - paths registers <id:…>

urlpatterns = [
    path("organizations", views.Organizations.as_view(), name="organizations"),
    path("organizations/<id:organization_id>", views.OneOrganization.as_view(), name="organization"),
    path("organizations/<id:organization_id>/ancestors", views.Ancestors.as_view(), name="ancestors"),
    path("organizations/<id:organization_id>/descendants", views.Descendants.as_view(), name="descendants"),
]
