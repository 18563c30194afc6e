"""The page on which each person lets this browser tell of events, and sees by what else the person is told."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from flagsite.core.admin.reason_form import ReasonForm
from flagsite.core.errors import FlagsiteError
from flagsite.core.ids import id_in
from jobs.notifications import browsers, subscriptions
from jobs.notifications.channels import push
from jobs.notifications.channels.all_channels import way
from jobs.notifications.events import BATCH_ENDED, JOB_FAILED, WORKER_GONE
from jobs.notifications.forms import events_field
from jobs.notifications.models import Channel, Subscription
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.access.operator_admin import may, require_caller

AT_FIRST = [BATCH_ENDED, JOB_FAILED, WORKER_GONE]
ACTS = ("subscribe", "test", "stop")


class BrowserForm(ReasonForm):
    """What this browser tells. The script of the page puts the browser's PushSubscription into `target`."""

    field_order = ("target", "events", "reason")
    target = forms.CharField(max_length=subscriptions.LONGEST_TARGET, required=False, widget=forms.HiddenInput)

    def __init__(self, caller: Caller, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["events"] = events_field(subscriptions.events_told_to(caller.organization_id, None))
        self.order_fields(self.field_order)

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        if not values.get("target"):
            raise forms.ValidationError(
                "The browser has sent no subscription. Load the page again, and allow JavaScript."
            )
        return values


def page(request: HttpRequest) -> HttpResponse:
    """Show the page. A POST subscribes this browser, sends it a test, or stops it."""
    caller, username = require_caller(request), request.user.get_username()
    if not caller.may(Role.READER):
        raise PermissionDenied
    form = BrowserForm(caller, initial={"events": AT_FIRST})
    if request.method == "POST":
        act = request.POST.get("act", "")
        if act not in ACTS:
            raise Http404
        form = BrowserForm(caller, request.POST) if act == "subscribe" else form
        reason_form = form if act == "subscribe" else ReasonForm(request.POST)
        if reason_form.is_valid():
            try:
                messages.success(request, _do(request, act, reason_form.cleaned_data))
                return HttpResponseRedirect(request.path)
            except FlagsiteError as error:
                form.add_error(None, error.detail) if act == "subscribe" else messages.error(request, error.detail)
    request.current_app = admin.site.name
    known = [
        {"id": each.subscription.pk, "fingerprint": each.fingerprint, "events": each.subscription.events}
        for each in browsers.browsers_of(username)
    ]
    context = {
        "title": "My notifications", "form": form, "push_key": push.public_key(), "known": known,
        "rows": [(row, way(row.channel)) for row in browsers.subscriptions_of(username)],
        "may_open": may(request, Role.OPERATOR),
    }  # fmt: skip
    return TemplateResponse(request, "flagsite/my_notifications.html", admin.site.each_context(request) | context)


def _do(request: HttpRequest, act: str, values: dict[str, Any]) -> str:
    """Do what the person asks for. Returns what has been done, in words."""
    caller, username = require_caller(request), request.user.get_username()
    if act == "subscribe":
        browsers.tell_browser(caller, username, values["target"], values["events"], reason=values["reason"])
        return "This browser tells you of the events that you have chosen."
    own = _own(request, username)
    if act == "test":
        subscriptions.send_test(caller, own, reason=values["reason"])
        return "A test is on its way to your browser."
    subscriptions.delete(caller, own, reason=values["reason"])
    return "This browser tells you nothing any more."


def _own(request: HttpRequest, username: str) -> Subscription:
    """Return the browser that the request names, if it is one of this person. Raises Http404."""
    number = id_in(request.POST.get("subscription", "")) or 0
    found = browsers.subscriptions_of(username).filter(pk=number, channel=Channel.PUSH).first()
    if found is None:
        raise Http404
    return found
