"""The admin site's pages of people and groups. A person's groups give roles, and the scope limits the visible subtree.

Administrators who are not bound to an organization change people. Only superusers create or change superusers, so that
nobody can give more rights than their own. People cannot be deleted, because the audit log contains their names: a
second person of the same name would take over the entries of the first.
"""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.contrib.auth.views import PasswordChangeView
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from unfold.admin import StackedInline
from unfold.forms import AdminOwnPasswordChangeForm, AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from flagsite.core.admin.reason_form import reason_line
from orgs.access.models import Role, StaffScope
from orgs.access.operator_admin import OperatorAdmin, require_caller
from orgs.access.organization_picker import OrganizationField, OrganizationTextFilter
from orgs.access.people import ROLES_BY_GROUP, described
from orgs.access.visible_organizations import find_visible_organization
from orgs.audit import audit_log

admin.site.unregister(User)
admin.site.unregister(Group)


class PasswordForm(AdminPasswordChangeForm):
    """The form that sets another person's password. The audit log records the change without the password."""

    reason = reason_line()

    def save(self, commit: bool = True) -> Any:  # noqa: FBT002 - as Django's
        with transaction.atomic():
            user = super().save(commit)
            audit_log.record("user.password", _subject(user), organization_id=described(user)["scope"])
        return user


class OwnPasswordForm(AdminOwnPasswordChangeForm):
    """The form with which people change their own password. The audit log records the change without the password."""

    reason = reason_line()

    def save(self, commit: bool = True) -> Any:  # noqa: FBT002 - as Django's
        with transaction.atomic():
            user = super().save(commit)
            audit_log.record("user.password", _subject(user), organization_id=described(user)["scope"])
        return user


def own_password(request: HttpRequest) -> HttpResponse:
    """The page on which people change their own password: Django's view with `OwnPasswordForm`."""
    request.current_app = admin.site.name
    change = PasswordChangeView.as_view(
        form_class=OwnPasswordForm,
        template_name="admin/people/own_password.html",
        success_url=reverse("admin:password_change_done"),
        extra_context=admin.site.each_context(request),
    )
    return cast("HttpResponse", change(request))


LABELS = {"is_active": "Active", "is_superuser": "Superuser", "date_joined": "Created", "last_login": "Last sign-in"}
HELP_TEXTS = {
    "is_active": "A person who is not active cannot sign in. Do this instead of deleting the person.",
    "is_superuser": "A superuser may do everything, and is the only one who may change superusers.",
}


class PersonForm(UserChangeForm):
    """The form of a person."""

    class Meta(UserChangeForm.Meta):
        labels = LABELS
        help_texts = HELP_TEXTS


class NewPersonForm(UserCreationForm):
    """The form of a new person."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["usable_password"].label = "Sign-in with a password"
        self.fields["usable_password"].help_text = "If it is disabled, the person cannot sign in."


class ScopeInline(StackedInline):
    """The organization to which the person is bound."""

    model = StaffScope
    verbose_name = "Bound to an organization (if empty, the person sees everything)"
    can_delete = True

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Return the field of the form; for the organization the picker, without Django's links beside it."""
        if db_field.name != "organization":
            return super().formfield_for_dbfield(db_field, request, **kwargs)
        return OrganizationField(caller=require_caller(request), help_text="Type a part of the name, or the key.")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _people_admin().has_view_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _people_admin().has_change_permission(request, obj)

    has_add_permission = has_delete_permission = has_change_permission


class ScopeFilter(OrganizationTextFilter):
    """Filters by the organization to which a person is bound."""

    title = "scope"
    parameter_name = "of"

    def filter_rows(self, request: HttpRequest, queryset: QuerySet[Any], text: str) -> QuerySet[Any]:
        return queryset.filter(scope__organization=find_visible_organization(require_caller(request), text))


@admin.register(User)
class PersonAdmin(DjangoUserAdmin, OperatorAdmin):  # type: ignore[misc]  # both define get_form
    """Django's pages of users, with Flagsite's roles."""

    view_role = add_role = change_role = Role.ADMIN
    lookup_allowed = OperatorAdmin.lookup_allowed
    form = PersonForm
    add_form = NewPersonForm
    add_form_template = "admin/people/add.html"
    change_password_form = PasswordForm
    change_user_password_template = "admin/people/set_password.html"  # noqa: S105 - a template
    inlines = [ScopeInline]
    list_display = ["username", "groups_of", "scope_of", "is_superuser", "is_active", "last_login"]
    list_filter = ["is_superuser", "is_active", "groups", ScopeFilter]
    list_filter_submit = True
    list_select_related = ["scope__organization"]
    filter_horizontal = ()
    readonly_fields = ["last_login", "date_joined"]
    fieldsets = [
        (None, {"fields": ["username", "password", "first_name", "last_name", "email"]}),
        ("Access", {"fields": ["is_active", "groups", "is_superuser"]}),
        ("Dates", {"fields": ["last_login", "date_joined"]}),
    ]
    add_fieldsets = [(None, {"fields": ["username", "usable_password", "password1", "password2", "groups"]})]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("groups")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        above = obj is not None and obj.is_superuser and not request.user.is_superuser
        return super().has_change_permission(request, obj) and not above

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)  # Django's own ones for a new person, without the reason
        return fieldsets if obj else [*fieldsets, ("This change", {"fields": ["reason"]})]

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return self.inlines if obj else []  # a new person first gets a name and a password

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.readonly_fields if request.user.is_superuser else [*self.readonly_fields, "is_superuser"]

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        kwargs |= {
            "widget": UnfoldAdminCheckboxSelectMultipleWidget,
            "help_text": "Each group gives a role. Without a group, the person cannot sign in.",
        }
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        obj.is_staff = True  # for other programs that read this mark; Flagsite does not
        before = User.objects.select_for_update(of=("self",)).filter(pk=obj.pk).first() if change else None
        form.access_before = described(before) if before else None
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: Any) -> None:
        """Save groups and scope, which are the last part to be saved, and record the values before and after."""
        super().save_related(request, form, formsets, change)
        before, after = form.access_before, described(User.objects.get(pk=form.instance.pk))
        if before is None:
            audit_log.record("user.create", _subject(form.instance), organization_id=after["scope"], after=after)
        elif before != after:
            audit_log.record(
                "user.change", _subject(form.instance), organization_id=after["scope"], before=before, after=after
            )

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Do nothing, because `save_related` writes the audit entry."""

    log_change = log_addition

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002
        """Django's view in a transaction. Django checks the permission to change this person."""
        with transaction.atomic():
            response: HttpResponse = super().user_change_password(request, id, form_url)
        return response

    @admin.display(description="groups")
    def groups_of(self, user: User) -> str:
        return ", ".join(sorted(group.name for group in user.groups.all())) or "–"

    @admin.display(description="bound to")
    def scope_of(self, user: User) -> str:
        return user.scope.organization.name if hasattr(user, "scope") else "everything"


@admin.register(Group)
class GroupAdmin(OperatorAdmin):
    """The read-only page of the groups, which are a part of Flagsite. The page of a person has the person's groups."""

    view_role = Role.ADMIN
    list_display = ["name", "may"]
    list_display_links = None
    fields = ["name", "may"]
    readonly_fields = ["may"]
    ordering = ["name"]

    @admin.display(description="may do")
    def may(self, group: Group) -> str:
        role = ROLES_BY_GROUP.get(group.name)
        return MEANINGS[role] if role else "nothing: this group is not one of Flagsite's"


MEANINGS = {
    Role.READER: "see everything except access keys, people and groups",
    Role.OPERATOR: "what viewers may do; set flags; retry, cancel and prioritise jobs; pause, resume and change queues",
    Role.ADMIN: "what operators may do; purge flags; change organizations, access keys, periodic tasks and people",
}


def _subject(user: Any) -> str:
    return f"user:{user.get_username()}"


def _people_admin() -> Any:
    return admin.site.get_model_admin(User)
