"""The looks of the admin site, and its side bar, which offers to each person the pages that the person may open."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy


def _page(title: str, icon: str, name: str) -> dict[str, Any]:
    link = reverse_lazy(f"admin:{name}")
    page = {"title": title, "icon": icon, "link": link, "active": partial(_is_open, link)}
    return page if name == "index" else page | {"permission": partial(_may_open, name)}


def _is_open(link: Any, request: HttpRequest) -> bool:
    """Whether the current page is the page of the link or a page below it.

    The page on which a person sets a flag belongs to the organizations. The overview is open on its own page only,
    because all other paths are below it.
    """
    current, flags = request.path, str(reverse_lazy("admin:flags_flag_changelist"))
    if current.startswith(f"{flags}set/"):
        current = str(reverse_lazy("admin:orgs_organization_changelist"))
    return current == str(link) if link == reverse_lazy("admin:index") else current.startswith(str(link))


def _may_open(name: str, request: HttpRequest) -> bool:
    """Whether the person may see the list with this name, such as `jobs_job_changelist`."""
    app, model = name.removesuffix("_changelist").rsplit("_", 1)
    return admin.site.get_model_admin(apps.get_model(app, model)).has_view_permission(request)


def _own_file(name: str, request: HttpRequest) -> str:
    return static(f"flagsite/{name}")


def _of_everybody(title: str, icon: str, name: str) -> dict[str, Any]:
    """A page that each person may open."""
    link = reverse_lazy(name)
    return {"title": title, "icon": icon, "link": link, "active": partial(_is_open, link)}


MY_NOTIFICATIONS = _of_everybody("My notifications", "notifications_active", "my-notifications")
LOOKS: dict[str, Any] = {
    "SITE_TITLE": "Flagsite",
    "SITE_HEADER": "Flagsite",
    "SITE_SUBHEADER": "Feature flags for trees of organizations",
    "SITE_SYMBOL": "flag",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": partial(_own_file, "icon.svg")}],
    "SITE_URL": None,  # Flagsite has no site besides the admin site
    "DASHBOARD_CALLBACK": "flagsite.admin_site.front_page.dashboard",
    "STYLES": [partial(_own_file, "overview.css")],
    "SCRIPTS": [partial(_own_file, name) for name in ("live.js", "names.js", "dialog.js")],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SIDEBAR": {
        "show_search": True,
        "navigation": [
            {
                "title": "Operate",
                "items": [
                    _page("Overview", "monitoring", "index"),
                    _page("Jobs", "play_circle", "jobs_job_changelist"),
                    _page("Batches", "inventory_2", "jobs_batch_changelist"),
                    _page("Queues", "stacks", "jobs_queue_changelist"),
                    _page("Artifacts", "draft", "jobs_artifact_changelist"),
                    _page("Workers", "memory", "jobs_worker_changelist"),
                    _page("Deliveries", "outbox", "jobs_delivery_changelist"),
                    _page("Subscriptions", "notifications", "jobs_subscription_changelist"),
                    MY_NOTIFICATIONS,
                    _page("Periodic tasks", "event_repeat", "django_celery_beat_periodictask_changelist"),
                    _page("Audit log", "history", "orgs_auditentry_changelist"),
                    _page("Reports", "lab_profile", "flags_report_changelist"),
                ],
            },
            {
                "title": "Customers",
                "items": [
                    _page("Organizations", "account_tree", "orgs_organization_changelist"),
                    _page("Imports", "upload_file", "jobs_organizationimport_changelist"),
                    _page("Flags", "flag", "flags_flag_changelist"),
                    _page("Segments", "category", "flags_segment_changelist"),
                    _page("Statistics", "bar_chart", "flags_statistic_changelist"),
                    _page("Scheduled changes", "schedule", "flags_flagschedule_changelist"),
                ],
            },
            {
                "title": "Access",
                "items": [
                    _page("Access keys", "key", "orgs_accesskey_changelist"),
                    _page("People", "person", "auth_user_changelist"),
                    _page("Groups", "group", "auth_group_changelist"),
                ],
            },
        ],
    },
}
"""The settings of django-unfold, the theme of the admin site."""
