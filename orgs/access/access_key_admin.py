"""The admin site's pages to create, show, rotate and revoke access keys. A key cannot be changed otherwise."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Field, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import display

from flagsite.core.admin.reason_form import Irreversible, IrreversibleForm, ReasonForm
from flagsite.core.errors import FlagsiteError
from orgs.access import access_keys, authorized_keys, key_plans
from orgs.access.models import AccessKey, Role
from orgs.access.operator_admin import OperatorAdmin, require_caller
from orgs.access.organization_picker import OrganizationField, OrganizationTextFilter
from orgs.access.visible_organizations import find_visible_organization
from orgs.errors import AccessKeyNotFound, InvalidKeyName

CREATED_TEMPLATE = "admin/orgs/accesskey/created.html"
USED_FORMS_KEY = "key_forms_used"
"""The session's key for the tokens of the forms that have created access keys."""
MAX_USED_FORMS = 50


class AccessKeyForm(forms.ModelForm):
    """The form of a new access key. Each form has its own `token`, which shows that a form is sent twice."""

    token = forms.CharField(widget=forms.HiddenInput, required=False, initial=secrets.token_urlsafe)

    class Meta:
        model = AccessKey
        fields = ["name", "role", "organization", "expiry_date"]
        labels = {"expiry_date": "Expires"}
        help_texts = {
            "name": "The purpose of the key, 1 to 50 characters.",
            "role": "For pages and apps that leave your company choose client, for your own servers evaluator.",
            "expiry_date": "In UTC. Empty: the key does not expire.",
        }

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not access_keys.is_valid_name(name):
            raise ValidationError(InvalidKeyName().detail)
        return name

    def clean_expiry_date(self) -> Any:
        expires = self.cleaned_data["expiry_date"]
        if expires is not None and expires <= timezone.now():
            raise ValidationError("This time is in the past.")
        return expires


class RotateForm(ReasonForm):
    """The form to rotate an access key."""

    field_order = ("overlap", "reason")
    overlap = forms.TypedChoiceField(
        label="The former key stays valid for",
        choices=[("0", "no time: it ends at once"), ("1", "1 hour"), ("24", "1 day"), ("168", "1 week"),
                 ("720", "30 days")],
        initial="24",
        coerce=lambda hours: timedelta(hours=int(hours)),
    )  # fmt: skip


class KeyOrganizationFilter(OrganizationTextFilter):
    """Filters by the organization to which an access key is bound."""

    title = "organization"
    parameter_name = "of"

    def filter_rows(self, request: HttpRequest, queryset: QuerySet[AccessKey], text: str) -> QuerySet[AccessKey]:
        return queryset.filter(organization=find_visible_organization(require_caller(request), text))


@admin.register(AccessKey)
class AccessKeyAdmin(OperatorAdmin):
    """The list of access keys. A person with a scope creates, sees and revokes access keys of this subtree only."""

    view_role = add_role = Role.ADMIN
    empty_hint = "A program needs an access key to use the API. Flagsite shows the key once, when you create it."
    organization_field = "organization_id"
    form = AccessKeyForm
    list_display = [
        "prefix",
        "name",
        "role",
        "organization",
        "state",
        "created",
        "expiry_date",
        "last_used",
        "operations",
    ]
    list_display_links = None
    list_filter = ["role", "revoked", KeyOrganizationFilter]
    list_filter_submit = True
    list_select_related = ["organization", "successor", "use"]
    search_fields = ["prefix", "name"]
    ordering = ["-created", "pk"]
    actions = None

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<str:prefix>/revoke/", view(self.revoke_view), name="orgs_accesskey_revoke"),
            path("<str:prefix>/rotate/", view(self.rotate_view), name="orgs_accesskey_rotate"),
            *super().get_urls(),
        ]

    def formfield_for_dbfield(self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        """Return the field of the form; for the organization the picker, without Django's links beside it."""
        if db_field.name != "organization":
            return super().formfield_for_dbfield(db_field, request, **kwargs)
        caller = require_caller(request)
        return OrganizationField(
            caller=caller,
            required=caller.organization_id is not None,  # a key without an organization has access to everything
            help_text="Type a part of the name, or the key. The key sees this organization and everything below it. "
            "Empty: everything.",
        )

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Create an access key. If a browser reloads the answer and sends the form again, no second key is created."""
        if request.method == "POST" and request.POST.get("token") in request.session.get(USED_FORMS_KEY, []):
            self.message_user(
                request, "This access key was already created and shown. No other key was created.", messages.WARNING
            )
            return HttpResponseRedirect(reverse("admin:orgs_accesskey_changelist"))
        buttons = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().add_view(request, form_url, (extra_context or {}) | buttons)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Create the access key, and keep its secret on `obj` only, for the page that shows it."""
        created, secret = authorized_keys.create(
            require_caller(request), name=obj.name, role=Role(obj.role), organization=obj.organization_id,
            expires=obj.expiry_date,
        )  # fmt: skip
        obj.pk, obj.prefix, obj.secret = created.pk, created.prefix, secret
        if token := form.cleaned_data["token"]:
            request.session[USED_FORMS_KEY] = [*request.session.get(USED_FORMS_KEY, []), token][-MAX_USED_FORMS:]

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Do nothing: the audit log already has an entry."""

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """Show the access key in the answer itself. With a redirect, a session or a message would have to store it."""
        return self._show_secret(request, obj, obj.secret)

    def _show_secret(self, request: HttpRequest, key: AccessKey, secret: str) -> HttpResponse:
        page = {"opts": self.opts, "title": "Access key created", "access_key": key, "secret": secret}
        response = TemplateResponse(request, CREATED_TEMPLATE, self.admin_site.each_context(request) | page)
        response["Cache-Control"] = "no-store, private"
        return response

    def rotate_view(self, request: HttpRequest, prefix: str) -> HttpResponse:
        """Ask for the overlap, then rotate the access key and show the new one in the answer itself."""
        key = self._key(request, prefix)
        form = RotateForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            try:
                overlap = form.cleaned_data["overlap"]
                successor, secret = authorized_keys.rotate(require_caller(request), prefix, overlap=overlap)
                return self._show_secret(request, successor, secret)
            except FlagsiteError as error:  # also after a form that was sent twice
                form.add_error(None, error.detail)
        page = {"opts": self.opts, "title": "Rotate an access key", "key": key, "form": form}
        return TemplateResponse(
            request, "admin/orgs/accesskey/rotate.html", self.admin_site.each_context(request) | page
        )

    def _key(self, request: HttpRequest, prefix: str) -> AccessKey:
        if not self.has_add_permission(request):
            raise PermissionDenied
        try:
            return authorized_keys.find(require_caller(request), prefix)
        except AccessKeyNotFound as error:
            raise Http404 from error

    def revoke_view(self, request: HttpRequest, prefix: str) -> HttpResponse:
        """Ask for a confirmation, then revoke the access key."""
        key = self._key(request, prefix)
        form = IrreversibleForm(Irreversible.REVOKE_KEY, request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            ended = authorized_keys.revoke(require_caller(request), prefix).ended
            also = f" It has also cancelled {ended.in_words} of the key." if ended.count else ""
            text = f"{key.name} ({prefix}) is revoked. Flagsite now refuses every request with this key.{also}"
            self.message_user(request, text)
            for said in access_keys.said_of_former_keys(key):
                self.message_user(request, said, messages.WARNING)
            return HttpResponseRedirect(reverse("admin:orgs_accesskey_changelist"))
        page = {
            "opts": self.opts,
            "title": "Revoke an access key",
            "key": key,
            "form": form,
            "plans": key_plans.planned_by(prefix),
            "former": access_keys.said_of_former_keys(key),
            "irreversible": Irreversible.REVOKE_KEY,
        }
        return TemplateResponse(
            request, "admin/orgs/accesskey/revoke.html", self.admin_site.each_context(request) | page
        )

    @display(description="state", label={"valid": "success", "revoked": "danger", "expired": "warning"})
    def state(self, key: AccessKey) -> str:
        return access_keys.state_of(key)

    @display(description="last used (UTC)")
    def last_used(self, key: AccessKey) -> str:
        last = access_keys.last_used_at(key)
        return f"{last:%Y-%m-%d %H:%M}" if last else "never"

    @display(description="")
    def operations(self, key: AccessKey) -> SafeString | str:
        """The links of the operations that are possible, or the key that has replaced this one."""
        names = [] if key.revoked else ["revoke"]
        if key.successor is None and access_keys.state_of(key) == "valid":
            names.append("rotate")
        links = format_html_join(
            " ",
            '<a class="fs-button {}" href="{}">{}<span class="fs-unseen"> {}</span></a>',
            (
                (
                    "fs-danger" if name == "revoke" else "",
                    reverse(f"admin:orgs_accesskey_{name}", args=[key.prefix]),
                    name.title(),
                    key.name,
                )
                for name in names
            ),
        )
        return format_html("{} replaced by {}", links, key.successor.prefix) if key.successor else links
