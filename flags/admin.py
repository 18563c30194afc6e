"""Flags in the admin site."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from flags.models import Flag
from orgs.models import Role
from orgs.operator_admin import OperatorAdmin


@admin.register(Flag)
class FlagAdmin(OperatorAdmin):
    """Definitions; what holds for an organization is asked of the API."""

    add_role = change_role = Role.EDITOR
    for_bound_people = True
    list_display = ["key", "description", "created_at"]
    search_fields = ["key", "description"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # its states are millions of rows; deleting them is a job's work

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["key"] if obj else []
