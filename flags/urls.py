"""Paths of the flags."""

from __future__ import annotations

from django.urls import path

from flags import schedule_views, views
from orgs import paths  # noqa: F401 - registers <id:…>

urlpatterns = [
    path("v1/schedules", schedule_views.Schedules.as_view(), name="schedules"),
    path("v1/schedules/<id:schedule_id>", schedule_views.OneSchedule.as_view(), name="schedule"),
    path("v1/schedules/<id:schedule_id>/cancel", schedule_views.CancelSchedule.as_view(), name="cancel-schedule"),
    path("v1/schedules/<id:schedule_id>/retry", schedule_views.RetrySchedule.as_view(), name="retry-schedule"),
    path("organizations/<id:organization_id>/flags", views.StatesOfOrganization.as_view(), name="flags"),
    path("<id:orgId>/<str:featureFlagName>", views.OneState.as_view(), name="flag"),
    path("<id:orgId>/<str:featureFlagName>/<str:enabled>", views.SetFlag.as_view(), name="set-flag"),
]
