"""How the admin site looks, and what its side bar offers."""

from __future__ import annotations

from typing import Any

from django.urls import reverse_lazy


def _page(title: str, icon: str, name: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{name}")}


LOOKS: dict[str, Any] = {
    "SITE_TITLE": "Flagsite",
    "SITE_HEADER": "Flagsite",
    "SITE_SUBHEADER": "Feature flags for trees of organizations",
    "SITE_SYMBOL": "flag",
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
                    _page("Queues", "stacks", "jobs_queue_changelist"),
                ],
            },
            {
                "title": "Customers",
                "items": [
                    _page("Organizations", "account_tree", "orgs_organization_changelist"),
                    _page("Flags", "flag", "flags_flag_changelist"),
                    _page("Access keys", "key", "orgs_accesskey_changelist"),
                ],
            },
        ],
    },
}
"""For django-unfold, which themes the pages."""
