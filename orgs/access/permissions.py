"""Authorization by role: every view names the role that each of its methods needs."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from orgs.access.caller import Caller
from orgs.access.models import Role


class HasRole(BasePermission):
    """Allows a request if the caller's role includes `view.roles[method]`.

    If the view has a method without a role, the method is refused for all callers. HEAD needs the role of GET. OPTIONS
    and methods that the view does not have (405) need only an authenticated caller.
    """

    message = "Your role does not allow this."

    def has_permission(self, request: Request, view: Any) -> bool:
        if not isinstance(request.auth, Caller):
            return False
        method = "GET" if request.method == "HEAD" else str(request.method)
        if method == "OPTIONS" or not hasattr(view, method.lower()):
            return True
        needed: Role | None = getattr(view, "roles", {}).get(method)
        if needed is None:
            return False
        self.message = f"This needs the role {needed.value}; yours is {request.auth.role.value}."
        return request.auth.may(needed)


class OpenOnPurpose(BasePermission):
    """Allows every request, also without a caller. Only for public content, such as the API's description."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return True
