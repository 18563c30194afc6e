"""Organizations in the admin site."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from orgs import history_admin, key_admin  # noqa: F401 - each registers its pages
from orgs.models import Organization, Role
from orgs.operator_admin import OperatorAdmin


class OrganizationForm(forms.ModelForm):
    """Refuses a parent that is below the organization itself; the model would refuse it too, but without a form."""

    class Meta:
        model = Organization
        fields = ["name", "key", "parent"]

    def clean_parent(self) -> Organization | None:
        parent = self.cleaned_data["parent"]
        current = Organization.objects.filter(pk=self.instance.pk).first()
        if parent and current and Organization.objects.under(current).filter(pk=parent.pk).exists():
            raise ValidationError("An organization cannot be moved under itself or one of its own descendants.")
        return parent


@admin.register(Organization)
class OrganizationAdmin(OperatorAdmin):
    """Create, rename, move and delete; the model takes the tree lock by itself."""

    add_role = change_role = delete_role = Role.ADMIN
    organization_field = "pk"
    form = OrganizationForm
    list_display = ["name", "key", "parent", "created_at"]
    list_select_related = ["parent"]
    search_fields = ["name", "key"]
    autocomplete_fields = ["parent"]
    ordering = ["tree_id", "lft"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["key"] if obj else []  # stable once given
