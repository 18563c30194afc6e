"""Flags in the admin site."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from flags.models import Flag


@admin.register(Flag)
class FlagAdmin(admin.ModelAdmin):
    """Definitions; what holds for an organization is asked of the API."""

    list_display = ["key", "description", "created_at"]
    search_fields = ["key", "description"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # its states are millions of rows; deleting them is a job's work

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["key"] if obj else []
