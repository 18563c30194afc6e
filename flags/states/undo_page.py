"""The page of the admin site that undoes a change of a flag, and the link to it in the audit log."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from flags.definitions.models import Flag
from flags.errors import ChangeNotFound, ChangeNotUndoable
from flags.states.organization_settings import locks_named_for
from flags.states.undo import find_undoable, undo_on
from flagsite.core.actor import current
from flagsite.core.admin.reason_form import reason_field
from flagsite.core.errors import FlagsiteError
from flagsite.core.words import counted
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.access.operator_admin import caller_of
from orgs.access.visible_organizations import find_visible_organization, hold_visible_organization
from orgs.audit.models import AuditEntry
from orgs.errors import OrganizationNotFound
from orgs.tree.browser import path_context

ACTIONS = frozenset({"flag.set", "flag.lock", "flag.reset", "flag.undo"})
"""What the audit log calls the changes that can be undone."""


class UndoForm(forms.Form):
    """The reason."""

    reason = reason_field()


def address_for(entry: AuditEntry, caller: Caller) -> str | None:
    """Return the address of the page that undoes the change which the entry tells of, for who may set flags."""
    number = entry.details.get("changeNumber")
    if entry.action not in ACTIONS or not isinstance(number, int) or not caller.may(Role.EDITOR):
        return None
    return reverse("admin:flags_flag_undo", args=[number])


def undo_view(admin: Any, request: HttpRequest, number: int) -> HttpResponse:
    """Ask for a reason, then undo a change."""
    caller = caller_of(request)
    if caller is None or not caller.may(Role.EDITOR):
        raise PermissionDenied
    try:
        change = find_undoable(number)
        organization = find_visible_organization(caller, change.organization_id)
    except (ChangeNotFound, ChangeNotUndoable, OrganizationNotFound) as error:
        raise Http404(error.detail) from error
    form = UndoForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            with locks_named_for(caller), hold_visible_organization(caller, organization.pk) as held:
                undone = undo_on(
                    held, change, requested_by=caller.name, correlation_id=current().correlation_id,
                    reason=form.cleaned_data["reason"],
                )  # fmt: skip
            text = f"Change {number} is undone: {counted(undone.restored, 'setting')} restored."
            if undone.left_alone_count:
                text += f" {counted(undone.left_alone_count, 'setting')} changed since stay as they are."
            admin.message_user(request, text)
            address = reverse("admin:flags_flag_change", args=[change.flag_id])
            return HttpResponseRedirect(f"{address}?{urlencode({'below': organization.pk})}")
        except FlagsiteError as error:
            form.add_error(None, error.detail)
    context = {
        **admin.admin_site.each_context(request), "opts": Flag._meta, "form": form, "change": change,
        "title": f"Undo change {number} of {change.flag.key}", **path_context(caller, organization),
    }  # fmt: skip
    request.current_app = admin.admin_site.name
    return TemplateResponse(request, "admin/flags/undo.html", context)
