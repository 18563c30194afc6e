"""The default context of evaluations: the middleware sets it for a request, `asking_for` for a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.utils.module_loading import import_string

from flags.targeting.attributes import NO_ATTRIBUTES, Attributes
from orgs.tree.models import Organization


@dataclass(frozen=True, slots=True)
class IdOrKey:
    """An organization as a path names it: by a reference (`orgs.tree.references`).

    If an evaluation context also names a key, `key` has it. It must be the key of the same organization.
    """

    name: str
    key: str = ""


AnyOrganization = int | str | Organization | IdOrKey
"""An organization, named by its id (int), its key (str), either of them, or given itself."""


class InvalidOrganization(TypeError):
    """The value given as an organization cannot name one."""

    def __init__(self, given: object) -> None:
        super().__init__(f"An organization is an id, a key or an Organization; {type(given).__name__} is none of them.")


class DefaultContext(Protocol):
    """The targeting key, organization and environment of evaluations that do not name them; None where unknown."""

    @property
    def user_id(self) -> str | int | None:
        """The targeting key."""

    @property
    def organization(self) -> AnyOrganization | None:
        """The organization."""

    @property
    def environment(self) -> str | None:
        """The environment; None means FLAG_ENVIRONMENT."""

    @property
    def attributes(self) -> Attributes:
        """The attributes that targeting rules can ask for."""


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


default_context: ContextVar[DefaultContext | None] = ContextVar("flags_default_context", default=None)


@dataclass(frozen=True, slots=True)
class GivenContext:
    """The context that `asking_for` was given."""

    user_id: str | int | None = None
    organization: AnyOrganization | None = None
    environment: str | None = None
    attributes: Attributes = field(default_factory=dict)


class RequestContext:
    """The context of a request; read when a flag is asked for, since it may take queries to find the user."""

    environment = None
    attributes: Attributes = NO_ATTRIBUTES

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @cached_property
    def user_id(self) -> str | None:
        """What FLAG_REQUEST_USER returns, else the id of the signed-in user."""
        if settings.FLAG_REQUEST_USER:
            found = import_string(settings.FLAG_REQUEST_USER)(self._request)
            return None if found is None else str(found)
        user = getattr(self._request, "user", None)
        return str(user.pk) if user is not None and user.is_authenticated else None

    @cached_property
    def organization(self) -> AnyOrganization | None:
        """What FLAG_REQUEST_ORGANIZATION returns, else None."""
        if not settings.FLAG_REQUEST_ORGANIZATION:
            return None
        found: AnyOrganization | None = import_string(settings.FLAG_REQUEST_ORGANIZATION)(self._request)
        return found


@contextmanager
def default_context_set(context: DefaultContext) -> Iterator[None]:
    """Evaluate flags in the block with this default context; restore the former one afterwards."""
    token = default_context.set(context)
    try:
        yield
    finally:
        default_context.reset(token)


@contextmanager
def asking_for(
    *,
    user_id: str | int | None = None,
    organization: AnyOrganization | None = None,
    environment: str | None = None,
    attributes: Attributes = NO_ATTRIBUTES,
) -> Iterator[None]:
    """Evaluate flags in the block for this user and organization, as in a task or a command."""
    with default_context_set(GivenContext(user_id, organization, environment, attributes)):
        yield


@contextmanager
def request_context_unless_set(request: HttpRequest | None) -> Iterator[None]:
    """Evaluate flags in the block for the request, unless there is no request or a default context is set already."""
    if request is None or default_context.get() is not None:
        yield
        return
    with default_context_set(RequestContext(request)):
        yield
