"""The page of the statistics: charts with their age, and a button that computes them anew."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from flags.statistics import computation
from flags.statistics.models import Statistic
from flags.statistics.selectors import all_statistics
from flagsite.core.admin.reason_form import ReasonForm
from jobs.batches.members import count_members
from orgs.access.live_pages import LiveListAdmin
from orgs.access.models import Role
from orgs.access.operator_admin import may, require_caller

MAX_SHOWN_POINTS = 20
"""Points that a chart shows; the API has all of them."""
MAX_DAYS = 90


@admin.register(Statistic)
class StatisticAdmin(LiveListAdmin):
    """The page of the statistics. A person with a scope does not see it, because the figures are about everything."""

    page_template = "admin/flags/statistics/page.html"
    live_template = "admin/flags/statistics/live.html"

    def has_compute_permission(self, request: HttpRequest) -> bool:
        """Return whether the person may start the computation."""
        return self.has_view_permission(request) and may(request, Role.OPERATOR)

    def figures(self, request: HttpRequest) -> dict[str, Any]:
        """Return the statistics with their charts, and the state of the latest batch."""
        batch = computation.latest_batch()
        return {
            "charts": [
                {
                    "statistic": one,
                    "is_timeline": one.figures.name == "evaluations",
                    "points": [_bar(point, one.largest) for point in one.points[-MAX_DAYS:]][
                        : _shown(one.figures.name)
                    ],
                    "left_out": max(0, len(one.points) - _shown(one.figures.name)),
                }
                for one in all_statistics()
            ],
            "batch": batch,
            "counts": count_members([batch])[batch.pk] if batch else None,
            "may_compute": self.has_compute_permission(request),
        }

    def get_urls(self) -> list[URLPattern]:
        compute = self.admin_site.admin_view(self.compute_view)
        return [path("compute/", compute, name="flags_statistic_compute"), *super().get_urls()]

    def compute_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for a reason, then start the batch. Raises PermissionDenied."""
        if not self.has_compute_permission(request):
            raise PermissionDenied
        form = ReasonForm(request.POST if request.method == "POST" else None)
        page = reverse("admin:flags_statistic_changelist")
        if request.method == "POST" and form.is_valid():
            reason = form.cleaned_data["reason"]
            started = computation.start(by=require_caller(request).name, reason=reason)
            words = "computes the statistics already" if started.is_deduplicated else "computes the statistics"
            self.message_user(request, f"Batch {started.batch.pk} {words}.")
            return HttpResponseRedirect(page)
        context = {"opts": self.opts, "title": "Compute statistics now", "form": form, "back": page}
        frame = self.admin_site.each_context(request)
        return TemplateResponse(request, "admin/flags/statistics/compute.html", frame | context)


def _shown(name: str) -> int:
    return MAX_DAYS if name == "evaluations" else MAX_SHOWN_POINTS


def _bar(point: dict[str, Any], largest: float) -> dict[str, Any]:
    """Return a point with the length of its bar in per cent, and its details in words."""
    details = [(_in_words(name), _value(value)) for name, value in point["details"].items() if value not in ([], {})]
    return point | {"length": round(float(point["value"]) * 100 / largest, 2), "details": details}


def _in_words(name: str) -> str:
    """Return the name of a figure in words: "neverSet" is "never set"."""
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} ({count:,})" for name, count in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}"
