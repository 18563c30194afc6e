"""The admin site's pages of subscriptions and deliveries."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from flagsite.core.admin.capped_paginator import CappedPaginator
from flagsite.core.admin.reason_form import ReasonForm
from flagsite.core.errors import FlagsiteError
from flagsite.core.ids import id_in
from flagsite.core.words import counted
from jobs.notifications import deliveries, replays, subscriptions
from jobs.notifications.channels.all_channels import way
from jobs.notifications.forms import RotateSecretForm, SubscriptionChangeForm, SubscriptionForm
from jobs.notifications.models import Delivery, DeliveryState, Subscription
from orgs.access.models import Role
from orgs.access.operator_admin import OperatorAdmin, clipped, require_caller
from orgs.audit.audit_log import entries_about
from orgs.tree.paths import path_names_of

STYLES = {
    DeliveryState.GATHERING: "PENDING",
    DeliveryState.SENT: "COMPLETED",
    DeliveryState.OUTBOX: "CANCELLED",
}
"""The status of a job whose colour a status of a delivery has, if it is not one itself."""
SHOWN_DELIVERIES = 20


class NotificationAdmin(OperatorAdmin):
    """What the pages of subscriptions and deliveries have in common."""

    view_role = Role.OPERATOR
    organization_field = "organization_id"
    paginator = CappedPaginator
    list_display_links = None
    ordering = ["-id"]
    sortable_by: list[str] = []
    actions: list[str] | None = None

    def row(self, request: HttpRequest, row_id: int | str) -> Any:
        """Return the row, for a person who may see it. Raises PermissionDenied, Http404."""
        self.require_viewer(request)
        found = self.get_queryset(request).filter(pk=id_in(str(row_id)) or 0).first()
        if found is None:
            raise Http404
        return found

    def show(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        """Return a page in the frame of the admin site."""
        request.current_app = self.admin_site.name
        frame = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, f"admin/jobs/{self.opts.model_name}/{template}", frame | context)

    def path_of(self, request: HttpRequest, organization_id: int | None) -> str:
        """Return the path of the organization, as far as the person sees it."""
        names = path_names_of([organization_id or 0], top_id=require_caller(request).organization_id)
        return " › ".join(names.get(organization_id or 0, []))


def _state(delivery: Delivery) -> SafeString:
    style = STYLES.get(DeliveryState(delivery.state), delivery.state)
    return format_html('<span class="fs-status fs-status-{}">{}</span>', style, delivery.state)


@admin.register(Subscription)
class SubscriptionAdmin(NotificationAdmin):
    """The pages of subscriptions."""

    add_role = change_role = Role.OPERATOR
    empty_hint = "A subscription tells a person or a program of events, such as a job that has failed."
    list_display = ["name_cell", "channel_cell", "address", "told", "organization", "standing"]
    list_filter = ["channel"]
    list_select_related = ["organization"]
    search_fields = ["name"]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<int:subscription_id>/test/", view(self.test_view), name="jobs_subscription_test"),
            path("<int:subscription_id>/delete/", view(self.remove_view), name="jobs_subscription_remove"),
            path("<int:subscription_id>/rotate/", view(self.rotate_view), name="jobs_subscription_rotate"),
            *super().get_urls(),
        ]

    def add_view(self, request: HttpRequest, *_: Any, **__: Any) -> HttpResponse:
        """Show the form. A POST creates the subscription. The answer itself shows the secret of a webhook, once."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        caller = require_caller(request)
        form = SubscriptionForm(caller, request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            try:
                made, secret = subscriptions.create(caller, form.wish, reason=form.cleaned_data["reason"])
            except FlagsiteError as error:
                form.add_error(None, error.detail)
            else:
                if not secret:
                    return HttpResponseRedirect(reverse("admin:jobs_subscription_change", args=[made.pk]))
                return self._show_secret(request, "Subscription created", made, secret)
        return self.show(request, "add.html", {"title": "Create a subscription", "form": form})

    def change_view(self, request: HttpRequest, object_id: str, *_: Any, **__: Any) -> HttpResponse:
        """Show a subscription with its last deliveries. A POST changes it."""
        subscription = self.row(request, object_id)
        form = SubscriptionChangeForm(subscription, request.POST if request.method == "POST" else None)
        if request.method == "POST":
            if not self.has_change_permission(request):
                raise PermissionDenied
            if form.is_valid() and self._change(request, subscription, form):
                return HttpResponseRedirect(request.path)
        latest = list(subscription.deliveries.order_by("-id")[:SHOWN_DELIVERIES])
        context = {
            "title": f"Subscription: {subscription.name}", "subscription": subscription, "form": form,
            "path": self.path_of(request, subscription.organization_id), "way": way(subscription.channel),
            "deliveries": [(delivery, _state(delivery)) for delivery in latest],
            "entries": entries_about(f"subscription:{subscription.pk}")[:50],
        }  # fmt: skip
        return self.show(request, "page.html", context)

    def _change(self, request: HttpRequest, subscription: Subscription, form: SubscriptionChangeForm) -> bool:
        try:
            subscriptions.change(
                require_caller(request), subscription, reason=form.cleaned_data["reason"], **form.values
            )
        except FlagsiteError as error:
            form.add_error(None, error.detail)
            return False
        self.message_user(request, "The subscription is changed.")
        return True

    def test_view(self, request: HttpRequest, subscription_id: int) -> HttpResponse:
        """Ask for a confirmation, then send a test, and show its delivery."""
        return self._operate(request, subscription_id, "test")

    def remove_view(self, request: HttpRequest, subscription_id: int) -> HttpResponse:
        """Ask for a confirmation, then delete the subscription."""
        return self._operate(request, subscription_id, "delete")

    def rotate_view(self, request: HttpRequest, subscription_id: int) -> HttpResponse:
        """Ask for the overlap, then give the webhook a new secret and show it in the answer itself."""
        subscription = self.row(request, subscription_id)
        if not self.has_change_permission(request):
            raise PermissionDenied
        form = RotateSecretForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            try:
                rotated, secret = subscriptions.rotate_secret(
                    require_caller(request), subscription, **form.cleaned_data
                )
            except FlagsiteError as error:
                form.add_error(None, error.detail)
            else:
                return self._show_secret(request, "Secret rotated", rotated, secret)
        context = {"title": "Rotate the secret", "act": "rotate", "subscription": subscription, "form": form}
        context["back"] = reverse("admin:jobs_subscription_change", args=[subscription_id])
        return self.show(request, "act.html", context)

    def _show_secret(self, request: HttpRequest, title: str, subscription: Subscription, secret: str) -> HttpResponse:
        page = {"title": title, "subscription": subscription, "secret": secret}
        response = self.show(request, "created.html", page)
        response["Cache-Control"] = "no-store, private"
        return response

    def _operate(self, request: HttpRequest, subscription_id: int, act: str) -> HttpResponse:
        subscription = self.row(request, subscription_id)
        if not self.has_change_permission(request):
            raise PermissionDenied
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            caller, reason = require_caller(request), form.cleaned_data["reason"]
            if act == "test":
                sent = subscriptions.send_test(caller, subscription, reason=reason)
                return HttpResponseRedirect(reverse("admin:jobs_delivery_change", args=[sent.pk]))
            subscriptions.delete(caller, subscription, reason=reason)
            self.message_user(request, f"The subscription {subscription.name} is deleted.")
            return HttpResponseRedirect(reverse("admin:jobs_subscription_changelist"))
        title = "Send a test" if act == "test" else "Delete a subscription"
        back = reverse("admin:jobs_subscription_change", args=[subscription_id])
        context = {"title": title, "act": act, "subscription": subscription, "form": form, "back": back}
        return self.show(request, "act.html", context)

    # --- Cells --------------------------------------------------------------------------------------------------------

    @admin.display(description="name")
    def name_cell(self, row: Subscription) -> SafeString:
        address = reverse("admin:jobs_subscription_change", args=[row.pk])
        return format_html('<a class="fs-link" href="{}">{}</a>', address, row.name)

    @admin.display(description="channel")
    def channel_cell(self, row: Subscription) -> str:
        return row.get_channel_display()

    @admin.display(description="address")
    def address(self, row: Subscription) -> SafeString | str:
        return clipped(row.target_shown)

    @admin.display(description="events")
    def told(self, row: Subscription) -> str:
        return ", ".join(row.events)

    @admin.display(description="sends")
    def standing(self, row: Subscription) -> str:
        return "Ended" if row.ended_because else "Yes" if way(row.channel).is_set() else "Outbox"


@admin.register(Delivery)
class DeliveryAdmin(NotificationAdmin):
    """The pages of deliveries; those with the status OUTBOX are the outbox."""

    empty_hint = "Each message to each recipient is a delivery. Without settings, messages stay here in the outbox."
    list_display = ["number", "state_cell", "channel_cell", "address", "message", "attempts", "created"]
    list_filter = ["state", "channel"]
    search_fields = ["message_id", "target_shown"]
    actions = ["replay"]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<int:delivery_id>/replay/", view(self.replay_view), name="jobs_delivery_replay"),
            *super().get_urls(),
        ]

    def change_view(self, request: HttpRequest, object_id: str, *_: Any, **__: Any) -> HttpResponse:
        """Show a delivery: the message, how it stands, and what the receiver answered."""
        delivery = self.row(request, object_id)
        context = {
            "title": f"Delivery {delivery.pk}", "delivery": delivery, "state": _state(delivery),
            "path": self.path_of(request, delivery.organization_id),
            "may_replay": delivery.state not in deliveries.OPEN,
            "counts": sorted(delivery.events.get("counts", {}).items()),
            "entries": entries_about(f"delivery:{delivery.pk}")[:50],
        }  # fmt: skip
        return self.show(request, "page.html", context)

    def replay_view(self, request: HttpRequest, delivery_id: int) -> HttpResponse:
        """Ask for the reason, then send the delivery once more."""
        delivery = self.row(request, delivery_id)
        back = reverse("admin:jobs_delivery_change", args=[delivery_id])
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            try:
                deliveries.replay(delivery, by=require_caller(request).name, reason=form.cleaned_data["reason"])
            except FlagsiteError as error:
                self.message_user(request, error.detail, messages.ERROR)
            else:
                self.message_user(request, f"Delivery {delivery_id} is sent once more.")
            return HttpResponseRedirect(back)
        context = {"title": f"Replay delivery {delivery_id}", "delivery": delivery, "form": form, "back": back}
        return self.show(request, "act.html", context)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return bool(self.has_view_permission(request))

    @admin.action(description="Replay", permissions=["replay"])
    def replay(self, request: HttpRequest, rows: QuerySet[Delivery]) -> HttpResponse | None:
        """Ask for the reason, then replay the chosen deliveries that have ended: here, or in a job if they are many."""
        form = ReasonForm(request.POST if "confirmed" in request.POST else None)
        ended = rows.filter(state__in=replays.ENDED)
        if not form.is_valid():
            ticked, across = request.POST.getlist(ACTION_CHECKBOX_NAME), request.POST.get("select_across") == "1"
            count = ended.count()
            context = {
                "title": f"Replay {counted(count, 'delivery', 'deliveries')}", "form": form, "count": count,
                "skipped": rows.count() - count, "most": replays.MOST, "in_request": replays.MOST_IN_REQUEST,
                "across": across, "ticked": ticked[:1] if across else ticked, "back": request.get_full_path(),
            }  # fmt: skip
            return self.show(request, "replay.html", context)
        done = replays.replay_all(require_caller(request), ended, reason=form.cleaned_data["reason"])
        if done.job is not None:
            self.message_user(request, f"Job {done.job.pk} replays the deliveries. This page shows its progress.")
            return HttpResponseRedirect(reverse("admin:jobs_job_change", args=[done.job.pk]))
        self.message_user(request, f"{counted(done.count, 'delivery', 'deliveries')} replayed.")
        if done.skipped:
            self.message_user(request, f"{done.skipped:,} skipped, as they are under way.", messages.WARNING)
        return None

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        rows: QuerySet[Delivery] = super().get_queryset(request)
        return rows.select_related("subscription")

    # --- Cells --------------------------------------------------------------------------------------------------------

    @admin.display(description="delivery")
    def number(self, row: Delivery) -> SafeString:
        return format_html(
            '<a class="fs-link" href="{}">{}</a>', reverse("admin:jobs_delivery_change", args=[row.pk]), row.pk
        )

    @admin.display(description="status")
    def state_cell(self, row: Delivery) -> SafeString:
        return _state(row)

    @admin.display(description="channel")
    def channel_cell(self, row: Delivery) -> str:
        return row.get_channel_display()

    @admin.display(description="to")
    def address(self, row: Delivery) -> SafeString | str:
        return clipped(row.target_shown)

    @admin.display(description="message")
    def message(self, row: Delivery) -> SafeString | str:
        return clipped(row.subject or "Gathers events")

    @admin.display(description="created (UTC)")
    def created(self, row: Delivery) -> str:
        return f"{row.created_at:%Y-%m-%d %H:%M:%S}"
