"""Asking for a flag: from this process's memory, in about a microsecond, for a user of an organization.

What cannot be told is answered by the default: an unknown flag or organization, a rollout by a formula of a later
Flagsite, a database that is away where memory does not know. A missing targeting key, or what cannot be an
organization, is a mistake of who asks, and raised, unless a default was given.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import structlog
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.exceptions import SynchronousOnlyOperation
from django.core.signals import setting_changed
from django.db import InterfaceError, OperationalError, connection

from flags.client import context, overrides
from flags.client.context import Called, InvalidOrganization, Whose
from flags.errors import FlagNotFound, TargetingKeyMissing, UnknownHashVersion
from flags.serving import usage_counter
from flags.serving.compiled_environment import compiled_flags_for
from flags.serving.compiled_flags import Resolution
from flags.serving.evaluation_cache import EvaluationCache
from flags.serving.organization_snapshot import NO_ORGANIZATION, OrganizationSnapshot
from flags.serving.process_cache import process_evaluation_cache
from orgs.errors import OrganizationNotFound
from orgs.tree.models import Organization

log = structlog.get_logger(__name__)
UNTOLD = (FlagNotFound, OrganizationNotFound, OperationalError, InterfaceError)
"""What the default is for."""
MOST_LOGGED = 1000


def is_enabled(
    name: str,
    *,
    user_id: str | int | None = None,
    organization: Whose | None = None,
    environment: str | None = None,
    default: bool | None = None,
) -> bool:
    """Whether the flag is on for this user of this organization.

    What is not given comes from the middleware or from `asking_for`. `default` is the answer where none can be given;
    without one that is False, and TargetingKeyMissing is raised for a rollout that has to know whom it is asked for,
    InvalidOrganization for an organization of another type. A user id that is no text (a lone surrogate) is like none.
    In asynchronous code it works too, but what memory does not know yet blocks the loop for a query; `ais_enabled`
    does not.
    """
    layer = overrides.layers.get()
    if layer is not None and name in layer.values:
        return layer.values[name]
    try:
        try:  # as `decide` does, whose call would cost more
            outcome = _decide(name, user_id, organization, environment)
        except SynchronousOnlyOperation:
            outcome = _beside(name, user_id, organization, environment)
    except UNTOLD as error:
        return _untold(name, error, default)
    except InvalidOrganization as error:
        return _mistaken(name, error, default)
    return _undecided(outcome, default) if outcome.enabled is None else outcome.enabled


async def ais_enabled(
    name: str,
    *,
    user_id: str | int | None = None,
    organization: Whose | None = None,
    environment: str | None = None,
    default: bool | None = None,
) -> bool:
    """As `is_enabled`, for asynchronous code: what memory does not know yet is read without blocking the loop."""
    layer = overrides.layers.get()
    if layer is not None and name in layer.values:
        return layer.values[name]
    try:
        outcome = await adecide(name, user_id, organization, environment)
    except UNTOLD as error:
        return _untold(name, error, default)
    except InvalidOrganization as error:
        return _mistaken(name, error, default)
    return _undecided(outcome, default) if outcome.enabled is None else outcome.enabled


def decide(name: str, user_id: str | int | None, organization: Whose | None, environment: str | None) -> Resolution:
    """How the flag comes out; `enabled` is None where it can't be decided (`Undecided`). Overrides are not looked at.

    Raises FlagNotFound, OrganizationNotFound, InvalidOrganization, and database errors for what memory does not know.
    """
    try:
        return _decide(name, user_id, organization, environment)
    except SynchronousOnlyOperation:
        return _beside(name, user_id, organization, environment)


async def adecide(
    name: str, user_id: str | int | None, organization: Whose | None, environment: str | None
) -> Resolution:
    """As `decide`, without blocking the loop for what memory does not know."""
    try:
        return _decide(name, user_id, organization, environment)
    except SynchronousOnlyOperation:
        return await sync_to_async(_decide)(name, user_id, organization, environment)


def _decide(name: str, user_id: str | int | None, organization: Whose | None, environment: str | None) -> Resolution:
    scope = context.current.get()
    if scope is not None:
        user_id = scope.user_id if user_id is None else user_id
        organization = scope.organization if organization is None else organization
        environment = scope.environment if environment is None else environment
    memory = _process.memory or _process.find_memory()
    if organization is None:
        view, organization_id = NO_ORGANIZATION, None
    else:
        view = memory.view(organization) if type(organization) is int else _view(memory, organization)
        organization_id = view.organization_id
    definitions = memory.definitions()
    named = environment or _process.environment
    prepared = definitions.prepared.get(named)
    states = view.states
    answers = None if prepared is None else prepared.kept.get(states)
    if answers is None:
        answers = compiled_flags_for(definitions, states, named)
    answers.used = True
    answer = answers.of(name)
    if answer is None:
        raise FlagNotFound(f"There is no flag {name!r}.")
    usage_counter.count(organization_id, name)
    user = user_id if type(user_id) is str else "" if user_id is None else str(user_id)
    try:
        unit = user.encode()
    except UnicodeEncodeError:  # half a character, as JSON may bring it: in no bucket and on no whitelist
        unit = b""
    return answer.decide(view, user, unit)


def _view(memory: EvaluationCache, organization: Whose) -> OrganizationSnapshot:
    """The organization, for every way to ask. Raises OrganizationNotFound, InvalidOrganization."""
    if isinstance(organization, str):
        return memory.view_by_key(organization)
    if isinstance(organization, Organization):
        return memory.view(organization.pk)
    if isinstance(organization, Called):
        return memory.view_called(organization.name)
    if isinstance(organization, bool) or not isinstance(organization, int):
        raise InvalidOrganization(organization)
    return memory.view(organization)


class _Process:
    """What this process looks up once, since each look costs more than all the rest of an answer."""

    memory: EvaluationCache | None
    environment: str

    def __init__(self) -> None:
        self.forget()

    def forget(self, **_: Any) -> None:
        """Look again: a forked child has a memory of its own, a test its own settings."""
        self.memory = None
        self.environment = settings.FLAG_ENVIRONMENT

    def find_memory(self) -> EvaluationCache:
        """The memory of this process, which listens from now on."""
        self.memory = process_evaluation_cache()
        return self.memory


_process = _Process()
os.register_at_fork(after_in_child=_process.forget)
setting_changed.connect(_process.forget, dispatch_uid="flags.client")


def _beside(*asked: Any) -> Resolution:
    """Decide in a thread: Django lets no query begin in the thread of an event loop."""

    def decide_and_close() -> Resolution:
        try:
            return _decide(*asked)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(copy_context().run, decide_and_close).result()


def _undecided(outcome: Resolution, default: bool | None) -> bool:
    """The default: where one was given for a rollout that is not told whom it is asked for, always for other errors."""
    if outcome.error is TargetingKeyMissing:
        return _mistaken(outcome.key, TargetingKeyMissing(outcome.why), default)
    return _untold(outcome.key, UnknownHashVersion(outcome.why), default)


def _mistaken(name: str, error: Exception, default: bool | None) -> bool:
    """The default where one was given, for a mistake of who asks."""
    if default is None:
        raise error
    return _untold(name, error, default)


_logged: set[tuple[str, str]] = set()
_logging = threading.Lock()


def _untold(name: str, error: Exception, default: bool | None) -> bool:
    """The default; why is logged once for each flag."""
    kind = type(error).__name__
    with _logging:
        if (name, kind) not in _logged and len(_logged) < MOST_LOGGED:
            _logged.add((name, kind))
            log.warning("flag_not_evaluated", featureFlagName=name, error=f"{kind}: {error}", default=bool(default))
    return bool(default)
