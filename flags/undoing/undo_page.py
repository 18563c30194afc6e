"""The page of the admin site that undoes a change, and the links to it in the audit log and on the page of a job."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from flags.definitions.models import Flag
from flags.definitions.who_may_define import may_define
from flags.errors import ChangeNotFound, ChangeNotUndoable
from flags.states.models import Change
from flags.states.planning import Agreed
from flags.undoing.undo import find
from flags.undoing.undo_settings import UNDOABLE
from flags.undoing.undo_words import effect_in_words, restored_in_words, result_in_words
from flags.undoing.undone import MOVE, Restored, UndoableChange, UndoPlan
from flagsite.core.actor import current
from flagsite.core.admin.reason_form import ReasonForm
from flagsite.core.errors import FlagsiteError
from jobs.engine.models import Job
from jobs.engine.states import Status
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.access.operator_admin import caller_of
from orgs.access.visible_organizations import visible_organizations
from orgs.audit.models import AuditEntry
from orgs.errors import RoleNeeded
from orgs.tree.browser import path_context
from orgs.tree.paths import path_names_of

ACTIONS = frozenset({"flag.set", "flag.lock", "flag.reset", "flag.undo"})
"""What the audit log calls the changes of settings that can be undone, and undos of all kinds."""
OF_DEFINITIONS = frozenset({"flag.update", "flag.archive"})
"""What it calls the changes of definitions."""
OF_SEGMENTS = frozenset({"segment.update", "segment.undo"})
"""What it calls the changes of segments."""
MOVES = "organization.move"
"""What it calls moves."""
ENDED_EARLY = (Status.CANCELLED, Status.FAILED)


def address_for(entry: AuditEntry, caller: Caller) -> str | None:
    """Return the address of the page that undoes the change which the entry tells of, for who may do this."""
    number = entry.details.get("changeNumber")
    if not isinstance(number, int) or not caller.may(Role.EDITOR):
        return None
    if entry.action == MOVES:
        may_undo = caller.may(Role.ADMIN)
    elif entry.action in OF_DEFINITIONS | OF_SEGMENTS or (entry.action in ACTIONS and entry.organization_id is None):
        may_undo = may_define(caller)
    else:
        may_undo = entry.action in ACTIONS
    if not may_undo:
        return None
    return reverse("admin:flags_flag_undo", args=[number])


def address_for_job(job: Job, caller: Caller) -> str | None:
    """Return the address of the page that undoes the change of a job which was cancelled or has failed for good."""
    if job.status not in ENDED_EARLY or not caller.may(Role.EDITOR):
        return None
    change = Change.objects.filter(job_id=job.root_id).order_by("pk").first()
    if change is None or change.kind not in UNDOABLE:
        return None
    return reverse("admin:flags_flag_undo", args=[change.number])


def undo_view(admin: Any, request: HttpRequest, number: int) -> HttpResponse:
    """Show what the undo of a change would do, ask for a reason, then undo it."""
    caller = caller_of(request)
    if caller is None or not caller.may(Role.EDITOR):
        raise PermissionDenied
    try:
        change = find(caller, number)
    except (ChangeNotFound, ChangeNotUndoable) as error:
        raise Http404(error.detail) from error
    except RoleNeeded as error:
        raise PermissionDenied from error
    form = ReasonForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            undone = change.undo(
                agreed=Agreed(plan_hash=request.POST.get("plan_hash", "")), correlation_id=current().correlation_id,
                reason=form.cleaned_data["reason"],
            )  # fmt: skip
            admin.message_user(request, " ".join(result_in_words(undone)))
            return HttpResponseRedirect(_address_of_effect(change))
        except FlagsiteError as error:
            form.add_error(None, error.detail)
    plan, refusal = _plan(change)
    title = f"Undo change {number} of {change.flag_key or change.segment_key or change.organization}"
    context = {
        **admin.admin_site.each_context(request), "opts": Flag._meta, "form": form, "change": change, "plan": plan,
        "refusal": refusal, "title": title, "back": _address_of_effect(change),
        **(_described(plan, caller) if plan else {}),
        **(path_context(caller, change.organization) if change.organization else {}),
    }  # fmt: skip
    request.current_app = admin.admin_site.name
    return TemplateResponse(request, "admin/flags/undo.html", context)


def _plan(change: UndoableChange) -> tuple[UndoPlan | None, str]:
    """Return the plan, or why there is none."""
    try:
        return change.plan(), ""
    except FlagsiteError as error:
        return None, error.detail


def _described(plan: UndoPlan, caller: Caller) -> dict[str, Any]:
    """Return what the page shows of a plan: the names of the organizations, and the values in words."""
    ids = {each.organization_id for each in plan.restores} | set(plan.left_alone.organization_ids)
    if plan.undone.kind == MOVE:
        ids |= {place for each in plan.restores for place in (each.before, each.after)}
    visible = set(visible_organizations(caller).filter(pk__in=ids - {None}).values_list("pk", flat=True))
    paths = path_names_of(visible, top_id=caller.organization_id)

    def where(organization_id: int | None) -> str:
        return " › ".join(paths.get(organization_id, [str(organization_id)])) if organization_id else "none"

    def values(each: Restored) -> tuple[str, str]:
        if plan.undone.kind == MOVE:
            return where(each.before), where(each.after)
        return restored_in_words(plan, each)

    rows = [(each.field or where(each.organization_id), *values(each)) for each in plan.restores]
    left = [*plan.left_alone.fields, *(where(each) for each in plan.left_alone.organization_ids)]
    return {"rows": rows, "left": left, "effect": effect_in_words(plan)}


def _address_of_effect(change: UndoableChange) -> str:
    """Return the address of the page on which the person sees what the undo does."""
    if change.segment is not None:
        return reverse("admin:flags_segment_change", args=[change.segment.pk])
    if change.flag is None:
        return reverse("admin:orgs_organization_change", args=[change.organization_id])
    address = reverse("admin:flags_flag_change", args=[change.flag.pk])
    return f"{address}?{urlencode({'below': change.organization_id})}" if change.organization_id else address
