"""What a caller's role allows. Every view names the role that each of its methods needs; one that does not is shut."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from orgs.access.caller import Caller
from orgs.access.models import Role


class HasRole(BasePermission):
    """Lets a caller pass whose role includes `view.roles[method]`.

    A method that the view answers but does not name is refused to all. HEAD is a GET; OPTIONS and methods that the
    view does not answer (405) need no more than a valid key.
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
    """Lets everybody pass, known or not: for what tells nothing about anybody, such as the API's description."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return True
