"""Evaluating a flag in Django code: from this process's evaluation cache, in about a microsecond.

A flag that cannot be evaluated has the default value: an unknown flag or organization, a rollout by a hash of a later
Flagsite, a database that is away while something is not cached. A missing targeting key and an organization of a wrong
type are mistakes in the calling code, and raised, unless a default was given.
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

from flags.client import overrides
from flags.client.context import AnyOrganization, IdOrKey, InvalidOrganization, default_context
from flags.errors import FlagNotFound, TargetingKeyMissing, UnknownHashVersion
from flags.serving import usage_counter
from flags.serving.evaluation_cache import EvaluationCache
from flags.serving.organization_snapshot import NO_ORGANIZATION, OrganizationSnapshot
from flags.serving.process_cache import process_evaluation_cache
from flags.serving.resolution import Resolution
from flags.targeting.attributes import NO_ATTRIBUTES, Attributes
from orgs.errors import OrganizationAmbiguous, OrganizationNotFound
from orgs.tree.models import Organization
from orgs.tree.references import parse_reference

log = structlog.get_logger(__name__)
NOT_EVALUATED = (FlagNotFound, OrganizationNotFound, OrganizationAmbiguous, OperationalError, InterfaceError)
"""The errors for which a flag has its default value."""
MOST_LOGGED = 1000


def is_enabled(
    name: str,
    *,
    user_id: str | int | None = None,
    organization: AnyOrganization | None = None,
    environment: str | None = None,
    attributes: Attributes = NO_ATTRIBUTES,
    default: bool | None = None,
) -> bool:
    """Whether the flag is on for this user of this organization.

    The middleware or `asking_for` sets what is not given. `attributes` are what targeting rules can ask for. `default`
    is the value of a flag that cannot be evaluated. Without one that is False; then TargetingKeyMissing is raised for a
    rollout that needs the missing user or organization, and InvalidOrganization for an organization of a wrong type. A
    user id with a lone surrogate, which is no text, is like none.

    In asynchronous code it works too, but reading what is not cached blocks the loop for a query; `ais_enabled` does
    not block.
    """
    layer = overrides.layers.get()
    if layer is not None and name in layer.values:
        return layer.values[name].enabled
    try:
        try:  # as `resolve` does; its call would cost more
            resolution = _resolve(name, user_id, organization, environment, attributes)
        except SynchronousOnlyOperation:
            resolution = _resolve_in_thread(name, user_id, organization, environment, attributes)
    except NOT_EVALUATED as error:
        return _default(name, error, default)
    except InvalidOrganization as error:
        return _default_or_raise(name, error, default)
    return _default_of_failed(resolution, default) if resolution.enabled is None else resolution.enabled


async def ais_enabled(
    name: str,
    *,
    user_id: str | int | None = None,
    organization: AnyOrganization | None = None,
    environment: str | None = None,
    attributes: Attributes = NO_ATTRIBUTES,
    default: bool | None = None,
) -> bool:
    """As `is_enabled`, for asynchronous code: what is not cached is read without blocking the loop."""
    layer = overrides.layers.get()
    if layer is not None and name in layer.values:
        return layer.values[name].enabled
    try:
        resolution = await aresolve(name, user_id, organization, environment, attributes)
    except NOT_EVALUATED as error:
        return _default(name, error, default)
    except InvalidOrganization as error:
        return _default_or_raise(name, error, default)
    return _default_of_failed(resolution, default) if resolution.enabled is None else resolution.enabled


def resolve(
    name: str,
    user_id: str | int | None,
    organization: AnyOrganization | None,
    environment: str | None,
    attributes: Attributes = NO_ATTRIBUTES,
) -> Resolution:
    """The flag's resolution, without overrides; `enabled` is None where it failed (`FailedResolution`).

    Raises FlagNotFound, OrganizationNotFound, InvalidOrganization, and database errors for what is not cached.
    """
    try:
        return _resolve(name, user_id, organization, environment, attributes)
    except SynchronousOnlyOperation:
        return _resolve_in_thread(name, user_id, organization, environment, attributes)


async def aresolve(
    name: str,
    user_id: str | int | None,
    organization: AnyOrganization | None,
    environment: str | None,
    attributes: Attributes = NO_ATTRIBUTES,
) -> Resolution:
    """As `resolve`, without blocking the loop for what is not cached."""
    try:
        return _resolve(name, user_id, organization, environment, attributes)
    except SynchronousOnlyOperation:
        return await sync_to_async(_resolve)(name, user_id, organization, environment, attributes)


def _resolve(
    name: str,
    user_id: str | int | None,
    organization: AnyOrganization | None,
    environment: str | None,
    attributes: Attributes = NO_ATTRIBUTES,
) -> Resolution:
    context = default_context.get()
    if context is not None:
        user_id = context.user_id if user_id is None else user_id
        organization = context.organization if organization is None else organization
        environment = context.environment if environment is None else environment
        if context.attributes:
            attributes = {**context.attributes, **attributes}
    cache = _process.cache
    if cache is None:  # not `or`, which would count the snapshots
        cache = _process.find_cache()
    definitions = cache.definitions()  # before the snapshot, which then has what their rules read
    if organization is None:
        snapshot = NO_ORGANIZATION
    elif type(organization) is int:
        snapshot = cache.snapshot(organization)
    else:
        snapshot = _snapshot(cache, organization)
    if not environment:
        environment = _process.environment
    rules = definitions.compiled_flags(snapshot.states, environment)[name]
    usage_counter.count(snapshot.organization_id, name, environment)
    targeting_key = user_id if type(user_id) is str else "" if user_id is None else str(user_id)
    try:
        key_bytes = targeting_key.encode()
    except UnicodeEncodeError:  # a lone surrogate, as JSON may bring it
        targeting_key, key_bytes = "", b""
    return rules.decide(snapshot, targeting_key, key_bytes, attributes)


def _snapshot(cache: EvaluationCache, organization: AnyOrganization) -> OrganizationSnapshot:
    """The organization, however it is given.

    Raises OrganizationNotFound, OrganizationAmbiguous, InvalidOrganization.
    """
    if isinstance(organization, str):
        return cache.snapshot_by_key(organization)
    if isinstance(organization, Organization):
        return cache.snapshot(organization.pk)
    if isinstance(organization, IdOrKey):
        snapshot = cache.snapshot_named(parse_reference(organization.name))
        if organization.key not in ("", snapshot.keys[-1]):
            raise OrganizationAmbiguous("organizationId and organizationKey name two organizations. Give one of them.")
        return snapshot
    if isinstance(organization, bool) or not isinstance(organization, int):
        raise InvalidOrganization(organization)
    return cache.snapshot(organization)


class _Process:
    """What this process looks up once: each look-up costs more than all the rest of an evaluation."""

    cache: EvaluationCache | None
    environment: str

    def __init__(self) -> None:
        self.reset()

    def reset(self, **_: Any) -> None:
        """Look up again: a forked child has a cache of its own, a test its own settings."""
        self.cache = None
        self.environment = settings.FLAG_ENVIRONMENT

    def find_cache(self) -> EvaluationCache:
        """The evaluation cache of this process, which listens from now on."""
        self.cache = process_evaluation_cache()
        return self.cache


_process = _Process()
os.register_at_fork(after_in_child=_process.reset)
setting_changed.connect(_process.reset, dispatch_uid="flags.client")


def _resolve_in_thread(*asked: Any) -> Resolution:
    """The same in another thread: Django lets no query begin in the thread of an event loop."""

    def resolve_and_close() -> Resolution:
        try:
            return _resolve(*asked)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(copy_context().run, resolve_and_close).result()


def failure_of(resolution: Resolution) -> Exception:
    """Return the error with which a flag could not be decided, as an exception."""
    return (TargetingKeyMissing if resolution.error is TargetingKeyMissing else UnknownHashVersion)(resolution.why)


def _default_of_failed(resolution: Resolution, default: bool | None) -> bool:
    """The default; without one a missing targeting key is raised, and other errors are off."""
    error = failure_of(resolution)
    if isinstance(error, TargetingKeyMissing):
        return _default_or_raise(resolution.key, error, default)
    return _default(resolution.key, error, default)


def _default_or_raise(name: str, error: Exception, default: bool | None) -> bool:
    """The default, if one was given: the calling code has made a mistake."""
    if default is None:
        raise error
    return _default(name, error, default)


def _default(name: str, error: Exception, default: bool | None) -> bool:
    """The default, or off."""
    note_default(name, error, bool(default))
    return bool(default)


_logged: set[tuple[str, str]] = set()
_logging = threading.Lock()


def note_default(name: str, error: Exception, default: object) -> None:
    """Log that a flag could not be evaluated and has its default; each error once for each flag."""
    kind = type(error).__name__
    with _logging:
        if (name, kind) not in _logged and len(_logged) < MOST_LOGGED:
            _logged.add((name, kind))
            log.warning("flag_not_evaluated", featureFlagName=name, error=f"{kind}: {error}", default=default)
