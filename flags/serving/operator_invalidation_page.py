"""The page of the admin site on which operators let processes read again what they cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from unfold.decorators import action

from flags.serving.operator_invalidation import invalidate
from flagsite.core.admin.reason_form import reason_field
from orgs.access import organization_picker
from orgs.access.models import Role
from orgs.access.operator_admin import OperatorAdmin, may, require_caller

if TYPE_CHECKING:
    Pages = OperatorAdmin
else:
    Pages = object


class InvalidationForm(forms.Form):
    """The form for what the processes read again."""

    everything = forms.BooleanField(required=False, help_text="All that processes cache, of all organizations.")
    organization = organization_picker.OrganizationField(
        required=False, help_text="This organization and everything below it. Type a part of the name, or the key."
    )
    flag = forms.CharField(max_length=255, required=False, help_text="The key of a flag.")
    reason = reason_field()

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors and not any(values.get(name) for name in ("everything", "organization", "flag")):
            raise forms.ValidationError("Choose everything, an organization or a flag.")
        return values


class InvalidationPage(Pages):
    """The mixin that adds the page to the pages of flags. A person with a scope chooses organizations of the scope."""

    def has_invalidate_permission(self, request: HttpRequest) -> bool:
        return may(request, Role.OPERATOR)

    @action(description="Read caches again", url_path="invalidate", permissions=["invalidate"])
    def invalidate(self, request: HttpRequest) -> HttpResponse:
        """Ask what the processes shall read again, and tell them."""
        caller = require_caller(request)
        form = InvalidationForm(request.POST if request.method == "POST" else None)
        organization_picker.set_caller(form, caller)
        if caller.organization_id is not None:
            del form.fields["everything"], form.fields["flag"]
        if request.method == "POST" and form.is_valid():
            values = form.cleaned_data
            result = invalidate(
                caller,
                everything=values.get("everything", False),
                organizations=[values["organization"].pk] if values["organization"] else [],
                flag_keys=[values["flag"]] if values.get("flag") else [],
            )
            if result.done:
                self.message_user(request, "All processes read again what you have chosen.")
            for one in result.failed:
                self.message_user(request, f"{next(iter(one.values()))}: {one['reason']}", messages.ERROR)
            return HttpResponseRedirect(request.path)
        context = {"opts": self.opts, "title": "Read caches again", "form": form}
        return TemplateResponse(request, "admin/flags/invalidate.html", self.admin_site.each_context(request) | context)
