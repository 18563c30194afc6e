"""Paths of the flags."""

from __future__ import annotations

from django.urls import path

from flags import adoption_views, definition_views, question_views, schedule_views, views
from flags.invalidation_views import InvalidateCache
from orgs import paths  # noqa: F401 - registers <id:…>

urlpatterns = [
    path("v1/feature-flags/<str:name>/adoption", adoption_views.AdoptionOfFlag.as_view(), name="adoption"),
    path("v1/feature-flags", definition_views.Definitions.as_view(), name="definitions"),
    path("v1/feature-flags/<str:name>", definition_views.OneDefinition.as_view(), name="definition"),
    path("v1/feature-flags/<str:name>/check", question_views.Check.as_view(), name="check-flag"),
    path("v1/feature-flags/<str:name>/explain", question_views.Explain.as_view(), name="explain-flag"),
    path("v1/schedules", schedule_views.Schedules.as_view(), name="schedules"),
    path("v1/schedules/<id:schedule_id>", schedule_views.OneSchedule.as_view(), name="schedule"),
    path("v1/schedules/<id:schedule_id>/cancel", schedule_views.CancelSchedule.as_view(), name="cancel-schedule"),
    path("v1/schedules/<id:schedule_id>/retry", schedule_views.RetrySchedule.as_view(), name="retry-schedule"),
    path("organizations/<id:organization_id>/flags", views.StatesOfOrganization.as_view(), name="flags"),
    path("internal/cache/invalidate", InvalidateCache.as_view(), name="invalidate-cache"),
    path("<id:orgId>/<str:featureFlagName>", views.OneState.as_view(), name="flag"),
    path("<id:orgId>/<str:featureFlagName>/<str:enabled>", views.SetFlag.as_view(), name="set-flag"),
]
