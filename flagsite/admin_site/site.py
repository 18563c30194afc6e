"""The admin site: the groups of a person decide who may sign in, and not Django's mark `is_staff`."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib.auth.forms import AuthenticationForm as DjangoAuthenticationForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from unfold.sites import UnfoldAdminSite

from flagsite.admin_site.search import search
from flagsite.core.reading_pages import only_reads
from flagsite.web.sign_in import LimitedSignInForm
from orgs.access.operator_admin import caller_of
from orgs.access.people import caller_for

PAGES_WITHOUT_FORM = {"index", "app_list", "search", "autocomplete", "jsi18n", "view_on_site", "password_change_done"}


class SignInForm(LimitedSignInForm):
    """The form to sign in. A person needs one of Flagsite's groups."""

    error_messages = {
        **LimitedSignInForm.error_messages,
        "no_group": "Your account is in none of Flagsite's groups. Ask an administrator to put you into one.",
    }

    def confirm_login_allowed(self, user: Any) -> None:
        DjangoAuthenticationForm.confirm_login_allowed(self, user)  # without the check of is_staff
        if caller_for(user) is None:
            raise ValidationError(self.error_messages["no_group"], code="no_group")


class FlagsiteAdminSite(UnfoldAdminSite):
    """The theme's site for the people of Flagsite."""

    login_form = SignInForm

    def get_urls(self) -> list[Any]:
        """Return the patterns of the site. Django's own pages without a form only read."""
        patterns = super().get_urls()
        for pattern in patterns:
            if getattr(pattern, "name", None) in PAGES_WITHOUT_FORM:
                pattern.callback = only_reads(pattern.callback)
        return patterns

    def app_index(self, request: HttpRequest, app_label: str, extra_context: Any = None) -> HttpResponse:
        """The page with the lists of an app. Its title is the name of the app alone."""
        title = {"title": apps.get_app_config(app_label).verbose_name} if self.get_app_list(request, app_label) else {}
        response: HttpResponse = super().app_index(request, app_label, title | (extra_context or {}))
        return response

    def search(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The search of the side bar, instead of the theme's, which keeps results for minutes."""
        return search(request)

    def has_permission(self, request: HttpRequest) -> bool:
        return caller_of(request) is not None
