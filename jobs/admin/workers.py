"""The admin site's page of workers: which workers are alive, and which jobs each one runs."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from jobs.engine import worker_registry
from jobs.engine.worker_model import Worker
from orgs.access.live_pages import LiveListAdmin


@admin.register(Worker)
class WorkerAdmin(LiveListAdmin):
    """The page of workers, on which nothing can be changed: workers register and disappear by themselves."""

    page_template = "admin/jobs/worker/list.html"
    live_template = "admin/jobs/worker/table.html"

    def figures(self, request: HttpRequest) -> dict[str, Any]:
        return {"workers": worker_registry.all_workers(), "shown_jobs": ":"}
