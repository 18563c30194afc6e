"""The admin site's page that switches a gate of the queue. The front page has a button for each gate."""

from __future__ import annotations

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from flags.definitions.who_may_define import may_define
from flags.evaluation import job_gates
from flagsite.core.admin.reason_form import ReasonForm
from flagsite.core.errors import FlagsiteError
from orgs.access.operator_admin import caller_of, came_from

STATES = {"on": True, "off": False}


def switch(request: HttpRequest, gate: str, state: str) -> HttpResponse:
    """Ask for a reason, and switch the gate. The button of the front page switches it without a question."""
    caller = caller_of(request)
    if caller is None or not may_define(caller):
        raise PermissionDenied
    if gate not in job_gates.DESCRIPTIONS or state not in STATES:
        raise Http404
    front_page = reverse("admin:index")
    form = ReasonForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        reason = form.cleaned_data["reason"]
        try:
            job_gates.switch(gate, on=STATES[state], by=caller.name, reason=reason)
            messages.success(request, f"The gate {gate} is {state} now.")
        except FlagsiteError as error:
            messages.error(request, error.detail)
        return HttpResponseRedirect(came_from(request, front_page))
    request.current_app = admin.site.name
    context = {"title": f"Switch {gate} {state}", "form": form, "gate": gate, "state": state, "back": front_page}
    context["description"] = job_gates.DESCRIPTIONS[gate]
    return TemplateResponse(request, "flagsite/switch_gate.html", admin.site.each_context(request) | context)
