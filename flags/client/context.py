"""For whom flags are asked for where nobody says: set by the middleware for a request, by `asking_for` elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.utils.module_loading import import_string

from orgs.tree.models import Organization


@dataclass(frozen=True, slots=True)
class Called:
    """An organization as an address calls it: by its id, or by its key, of digits too if that is no id."""

    name: str


Whose = int | str | Organization | Called
"""An organization: its id, its key, itself, or what it is called."""


class InvalidOrganization(TypeError):
    """What was given as an organization is nothing that could name one."""

    def __init__(self, given: object) -> None:
        super().__init__(f"An organization is an id, a key or an Organization; {type(given).__name__} is none of them.")


class Scope(Protocol):
    """For whom and where; None where that is not known."""

    @property
    def user_id(self) -> str | int | None:
        """The targeting key."""

    @property
    def organization(self) -> Whose | None:
        """The organization."""

    @property
    def environment(self) -> str | None:
        """The environment; None is FLAG_ENVIRONMENT."""


def check_settings() -> None:
    """Raise ImproperlyConfigured when FLAG_REQUEST_ORGANIZATION or FLAG_REQUEST_USER names no function."""
    for name in ("FLAG_REQUEST_ORGANIZATION", "FLAG_REQUEST_USER"):
        if path := getattr(settings, name):
            try:
                found = import_string(path)
            except ImportError as error:
                raise ImproperlyConfigured(f"{name} is {path!r}: {error}.") from error
            if not callable(found):
                raise ImproperlyConfigured(f"{name} is {path!r}, which is no function.")


current: ContextVar[Scope | None] = ContextVar("flags_asked_for", default=None)


@dataclass(frozen=True, slots=True)
class Told:
    """For whom, as somebody has said."""

    user_id: str | int | None = None
    organization: Whose | None = None
    environment: str | None = None


class OfRequest:
    """For whom a request is; found out when a flag is asked for, since it may take queries to know the user."""

    environment = None

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @cached_property
    def user_id(self) -> str | None:
        """As FLAG_REQUEST_USER says, else the signed-in user's id."""
        if settings.FLAG_REQUEST_USER:
            found = import_string(settings.FLAG_REQUEST_USER)(self._request)
            return None if found is None else str(found)
        user = getattr(self._request, "user", None)
        return str(user.pk) if user is not None and user.is_authenticated else None

    @cached_property
    def organization(self) -> Whose | None:
        """As FLAG_REQUEST_ORGANIZATION says, else none."""
        if not settings.FLAG_REQUEST_ORGANIZATION:
            return None
        found: Whose | None = import_string(settings.FLAG_REQUEST_ORGANIZATION)(self._request)
        return found


@contextmanager
def asking_for(
    *, user_id: str | int | None = None, organization: Whose | None = None, environment: str | None = None
) -> Iterator[None]:
    """Let flags be asked for this user and organization inside, as in a task or a command."""
    token = current.set(Told(user_id, organization, environment))
    try:
        yield
    finally:
        current.reset(token)
