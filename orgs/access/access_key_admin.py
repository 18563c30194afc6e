"""Access keys in the admin site: made, shown once, revoked. Nothing of them is changed otherwise."""

from __future__ import annotations

import secrets
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import ForeignKey
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import display

from orgs.access import access_keys
from orgs.access.models import AccessKey, Role
from orgs.access.operator_admin import OperatorAdmin, known_caller
from orgs.access.organizations import hold_visible_organization, visible_organizations
from orgs.errors import InvalidKeyName

SHOWN_IN = "admin/orgs/accesskey/made.html"
USED = "key_forms_used"
"""In the session: the forms by which keys were made."""
MOST_USED = 50


class AccessKeyForm(forms.ModelForm):
    """What is asked of a new key. Each form that is shown has a `token`, by which a resent one is known."""

    token = forms.CharField(widget=forms.HiddenInput, required=False, initial=secrets.token_urlsafe)

    class Meta:
        model = AccessKey
        fields = ["name", "role", "organization", "expiry_date"]
        labels = {"expiry_date": "Expires"}
        help_texts = {"name": "What it is for, 1 to 50 characters.", "expiry_date": "UTC; empty: it does not expire."}

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not access_keys.is_name(name):
            raise ValidationError(InvalidKeyName().detail)
        return name

    def clean_expiry_date(self) -> Any:
        moment = self.cleaned_data["expiry_date"]
        if moment is not None and moment <= timezone.now():
            raise ValidationError("This time is past.")
        return moment


@admin.register(AccessKey)
class AccessKeyAdmin(OperatorAdmin):
    """Who is bound to an organization makes, sees and revokes keys of its subtree only."""

    view_role = add_role = Role.ADMIN
    organization_field = "organization_id"
    form = AccessKeyForm
    list_display = ["prefix", "name", "role", "organization", "state", "created", "expiry_date", "end"]
    list_display_links = None
    list_filter = ["role", "revoked"]
    list_select_related = ["organization"]
    search_fields = ["prefix", "name"]
    autocomplete_fields = ["organization"]
    ordering = ["-created", "pk"]
    actions = None

    def get_urls(self) -> list[URLPattern]:
        revoke = self.admin_site.admin_view(self.revoke_view)
        return [path("<str:prefix>/revoke/", revoke, name="orgs_accesskey_revoke"), *super().get_urls()]

    def formfield_for_foreignkey(self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        caller = known_caller(request)
        if db_field.name == "organization":
            kwargs["queryset"] = visible_organizations(caller)
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if field is not None and caller.organization_id is not None:
            field.required = True  # a key without an organization sees everything
        return field

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Make a key of the form. Who loads its answer anew sends the same form again, which makes no second key."""
        if request.method == "POST" and request.POST.get("token") in request.session.get(USED, []):
            self.message_user(request, "This key was made and shown already; nothing was made now.", messages.WARNING)
            return HttpResponseRedirect(reverse("admin:orgs_accesskey_changelist"))
        buttons = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().add_view(request, form_url, (extra_context or {}) | buttons)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Make the key; it is on its way to the page that shows it, and nowhere else."""
        wanted = {"name": obj.name, "role": Role(obj.role), "expires": obj.expiry_date}
        if obj.organization_id is None:
            made, secret = access_keys.create(**wanted)
        else:
            with hold_visible_organization(known_caller(request), obj.organization_id) as organization:
                made, secret = access_keys.create(organization=organization, **wanted)
        obj.pk, obj.prefix, obj.secret = made.pk, made.prefix, secret
        if token := form.cleaned_data["token"]:
            request.session[USED] = [*request.session.get(USED, []), token][-MOST_USED:]

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The audit log has it already."""

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """Show the key in the answer itself: no redirect, thus no session and no message has to keep it."""
        page = {"opts": self.opts, "title": "Access key made", "made": obj, "secret": obj.secret}
        response = TemplateResponse(request, SHOWN_IN, self.admin_site.each_context(request) | page)
        response["Cache-Control"] = "no-store, private"
        return response

    def revoke_view(self, request: HttpRequest, prefix: str) -> HttpResponse:
        """Ask whether it is meant, then end the key."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        key = self.get_queryset(request).filter(prefix=prefix).first()
        if key is None:
            raise Http404
        if request.method == "POST":
            access_keys.revoke(prefix=prefix)
            self.message_user(request, f"{key.name} ({prefix}) is revoked; whoever uses it is refused from now on.")
            return HttpResponseRedirect(reverse("admin:orgs_accesskey_changelist"))
        page = {"opts": self.opts, "title": "Revoke an access key", "key": key}
        return TemplateResponse(
            request, "admin/orgs/accesskey/revoke.html", self.admin_site.each_context(request) | page
        )

    @display(description="state", label={"valid": "success", "revoked": "danger", "expired": "warning"})
    def state(self, key: AccessKey) -> str:
        return str(access_keys.described(key)["state"])

    @display(description="")
    def end(self, key: AccessKey) -> str:
        if key.revoked:
            return ""
        address = reverse("admin:orgs_accesskey_revoke", args=[key.prefix])
        return format_html(
            '<a class="fs-button" href="{}">Revoke<span class="fs-unseen"> {}</span></a>', address, key.name
        )
