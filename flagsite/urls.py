"""All URL paths of Flagsite."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from flagsite.admin_site import front_page, gates, my_notifications, people, today
from flagsite.core.api import path_converters  # noqa: F401 - registers <id:…>
from flagsite.health import probes
from flagsite.metrics.api import MetricsView
from flagsite.openapi.documentation_page import documentation_page
from flagsite.openapi.schema import OpenApiDocumentView
from flagsite.periodic_tasks import api as periodic_tasks
from flagsite.periodic_tasks import scheduled_api as scheduled
from flagsite.web import sign_in, start_page

to_audit_log = RedirectView.as_view(
    url="/admin/orgs/auditentry/%(rest)s", query_string=True, permanent=True
)  # from the audit log's address in version 1.0
to_import = RedirectView.as_view(pattern_name="admin:jobs_organizationimport_add")  # from its address in version 1.0
to_admin_site = RedirectView.as_view(pattern_name="admin:index")
urlpatterns = [
    path("", start_page.start_page, name="start-page"),
    path("admin", to_admin_site),
    path("admin/overview/", front_page.live, name="overview"),
    path("admin/overview/today/", today.live, name="overview-today"),
    path("admin/password_change/", admin.site.admin_view(people.own_password)),
    path("admin/gates/<slug:gate>/<slug:state>/", admin.site.admin_view(gates.switch), name="switch-gate"),
    path("admin/my-notifications/", admin.site.admin_view(my_notifications.page), name="my-notifications"),
    path("admin/orgs/organization/import/", to_import),
    path("admin/orgs/historyentry/", to_audit_log, {"rest": ""}),
    path("admin/orgs/historyentry/<path:rest>", to_audit_log),
    path("admin/login/", sign_in.sign_in),
    path("admin/", admin.site.urls),
    path("openapi.json", OpenApiDocumentView.as_view(), name="openapi"),
    path("docs", documentation_page, name="docs"),
    path("livez", probes.LivenessView.as_view(), name="livez"),
    path("readyz", probes.ReadinessView.as_view(), name="readyz"),
    path("version", probes.VersionView.as_view(), name="version"),
    path("metrics", MetricsView.as_view(), name="metrics"),
    path("v1/periodic-tasks", periodic_tasks.PeriodicTasks.as_view(), name="periodic-tasks"),
    path("v1/periodic-tasks/<id:task_id>", periodic_tasks.OnePeriodicTask.as_view(), name="periodic-task"),
    path("v1/queue/scheduled", scheduled.Scheduled.as_view(), name="scheduled"),
    path("v1/queue/scheduled/<str:scheduled>", scheduled.OneScheduled.as_view(), name="one-scheduled"),
    path("v1/queue/schedule/<str:kind>", scheduled.ScheduleOfKind.as_view(), name="schedule-kind"),
    path("v1/queue/scheduler/status", scheduled.Scheduler.as_view(), name="scheduler-status"),
    path("v1/periodic-tasks/<id:task_id>/run", periodic_tasks.RunPeriodicTask.as_view(), name="run-periodic-task"),
    path("", include("orgs.urls")),
    path("", include("jobs.urls")),
    path("", include("flags.urls")),
]

handler400 = "flagsite.web.problems.bad_request"
handler403 = "flagsite.web.problems.forbidden"
handler404 = "flagsite.web.problems.not_found"
handler500 = "flagsite.web.problems.server_error"
