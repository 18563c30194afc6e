"""The variant and the value of a flag in Django code, from this process's evaluation cache.

The default in the code says which type the value has. It is also the value where the flag cannot be evaluated, where it
has another type, and where it serves no value. So these functions raise nothing that the data of Flagsite can cause.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypedDict, TypeVar, Unpack

from django.db import InterfaceError, OperationalError

from flags.client import overrides
from flags.client.context import AnyOrganization, InvalidOrganization
from flags.client.evaluate import NOT_EVALUATED, aresolve, failure_of, note_default, resolve
from flags.errors import FlagNotFound, TargetingKeyMissing, UnknownHashVersion
from flags.evaluation.reasons import Reason
from flags.serving.resolution import Resolution
from flags.targeting.attributes import NO_ATTRIBUTES, Attributes
from flags.values.conversion import WrongType, converted, type_of
from flags.values.served import copied
from flags.values.types import FlagType
from flagsite.core.errors import FlagsiteError
from orgs.errors import OrganizationAmbiguous, OrganizationNotFound

Value = TypeVar("Value")
FAILURES = (*NOT_EVALUATED, InvalidOrganization, TargetingKeyMissing, UnknownHashVersion, WrongType)
"""The errors for which a flag has the default value."""
ERROR = "ERROR"
"""The reason, as OpenFeature names it, of a default because of an error."""
ERROR_CODES: Mapping[type[Exception], str] = {
    FlagNotFound: "FLAG_NOT_FOUND",
    TargetingKeyMissing: "TARGETING_KEY_MISSING",
    WrongType: "TYPE_MISMATCH",
    OrganizationNotFound: "INVALID_CONTEXT",
    OrganizationAmbiguous: "INVALID_CONTEXT",
    InvalidOrganization: "INVALID_CONTEXT",
}
"""OpenFeature's error code for each error. The code of all others is GENERAL."""


class Asked(TypedDict, total=False):
    """For whom a flag is evaluated. The middleware or `asking_for` sets what is not given."""

    user_id: str | int | None
    organization: AnyOrganization | None
    environment: str | None
    attributes: Attributes


class Found(Protocol):
    """What an evaluation has found: a resolution, or what a test has fixed."""

    @property
    def enabled(self) -> bool | None:
        """On or off. None if the flag could not be decided."""

    @property
    def value(self) -> Any:
        """The value. None if there is none."""

    @property
    def variant(self) -> str:
        """The key of the variant. Empty if there is none."""

    @property
    def flag_type(self) -> FlagType:
        """The type of the value."""

    @property
    def reason(self) -> Reason:
        """The reason, as OpenFeature names it."""

    @property
    def metadata(self) -> dict[str, Any]:
        """What OFREP calls metadata."""


@dataclass(frozen=True, slots=True)
class ValueDetails(Generic[Value]):
    """A value, and why it is this one.

    `error_code` is OpenFeature's, empty if there was no error. With an error, `value` is the default, and `error` says
    what went wrong. `metadata` are those of OFREP.
    """

    value: Value
    variant: str
    reason: str
    error_code: str = ""
    error: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


def value(
    name: str,
    default: Value,
    *,
    user_id: str | int | None = None,
    organization: AnyOrganization | None = None,
    environment: str | None = None,
    attributes: Attributes = NO_ATTRIBUTES,
) -> Value:
    """Return the value of a flag.

    Args:
        name: the key of the flag.
        default: a value of the type that the code needs. It is returned where the flag has no value of this type. An
            integer may be asked for as a float, and a float as an integer, where this loses nothing.
        user_id: the targeting key.
        organization: the organization.
        environment: the environment.
        attributes: what targeting rules can ask for. The middleware or `asking_for` sets what is not given.

    Returns:
        The value. An object is a copy, which the code may change.

    Raises:
        TypeError: the default is of no type that a flag can have.
    """
    wanted = type_of(default)
    layer = overrides.layers.get()
    try:
        if layer is not None and name in layer.values:
            return _value_in(layer.values[name], default, wanted)
        found = resolve(name, user_id, organization, environment, attributes)  # as `find` does, with a call less
        result: Value | None = found.value
        if result is not None and found.flag_type is wanted:
            return result if wanted is not FlagType.OBJECT else copied(result)
        return _value_in(_decided(found), default, wanted)
    except FAILURES as error:
        note_default(name, error, default)
        return default


async def avalue(name: str, default: Value, **asked: Unpack[Asked]) -> Value:
    """As `value`, for asynchronous code: what is not cached is read without blocking the loop."""
    wanted = type_of(default)
    try:
        return _value_in(await afind(name, **asked), default, wanted)
    except FAILURES as error:
        note_default(name, error, default)
        return default


def value_details(name: str, default: Value, **asked: Unpack[Asked]) -> ValueDetails[Value]:
    """Return the value of a flag with its variant, its reason and its metadata, or the error. As `value` otherwise."""
    wanted = type_of(default)
    try:
        return _details_in(find(name, **asked), default, wanted)
    except FAILURES as error:
        return _details_of(error, name, default)


async def avalue_details(name: str, default: Value, **asked: Unpack[Asked]) -> ValueDetails[Value]:
    """As `value_details`, for asynchronous code."""
    wanted = type_of(default)
    try:
        return _details_in(await afind(name, **asked), default, wanted)
    except FAILURES as error:
        return _details_of(error, name, default)


def variant(
    name: str,
    default: str = "",
    *,
    user_id: str | int | None = None,
    organization: AnyOrganization | None = None,
    environment: str | None = None,
    attributes: Attributes = NO_ATTRIBUTES,
) -> str:
    """Return the key of the variant that a flag serves.

    Args:
        name: the key of the flag.
        default: is returned where the flag serves no value, or cannot be evaluated.
        user_id: the targeting key.
        organization: the organization.
        environment: the environment.
        attributes: what targeting rules can ask for. The middleware or `asking_for` sets what is not given.

    Returns:
        The key. It is `on` or `off` for a boolean flag, and `custom` for a custom value.
    """
    try:
        return find(name, user_id, organization, environment, attributes).variant or default
    except FAILURES as error:
        note_default(name, error, default)
        return default


async def avariant(name: str, default: str = "", **asked: Unpack[Asked]) -> str:
    """As `variant`, for asynchronous code."""
    try:
        return (await afind(name, **asked)).variant or default
    except FAILURES as error:
        note_default(name, error, default)
        return default


def find(
    name: str,
    user_id: str | int | None = None,
    organization: AnyOrganization | None = None,
    environment: str | None = None,
    attributes: Attributes = NO_ATTRIBUTES,
) -> Found:
    """Return what a test has fixed, or else what the evaluation cache says. Raises the FAILURES but WrongType."""
    layer = overrides.layers.get()
    if layer is not None and name in layer.values:
        return layer.values[name]
    return _decided(resolve(name, user_id, organization, environment, attributes))


async def afind(
    name: str,
    user_id: str | int | None = None,
    organization: AnyOrganization | None = None,
    environment: str | None = None,
    attributes: Attributes = NO_ATTRIBUTES,
) -> Found:
    """As `find`, for asynchronous code."""
    layer = overrides.layers.get()
    if layer is not None and name in layer.values:
        return layer.values[name]
    return _decided(await aresolve(name, user_id, organization, environment, attributes))


def error_code_of(error: Exception) -> str:
    """Return OpenFeature's code for one of the FAILURES."""
    return ERROR_CODES.get(type(error), "GENERAL")


def words_for(error: Exception, name: str) -> str:
    """Return one of the FAILURES in words."""
    if isinstance(error, FlagsiteError):
        return error.detail
    if isinstance(error, OperationalError | InterfaceError):
        return f"The flag {name!r} is not known here, and the database does not answer."
    return str(error)


def _decided(resolution: Resolution) -> Resolution:
    if resolution.enabled is None:
        raise failure_of(resolution)
    return resolution


def _value_in(found: Found, default: Value, wanted: FlagType) -> Value:
    """The value, or the default if there is none. Raises WrongType."""
    if found.value is None:
        return default
    result: Value = converted(found.value, found.flag_type, wanted)
    return result


def _details_in(found: Found, default: Value, wanted: FlagType) -> ValueDetails[Value]:
    result = _value_in(found, default, wanted)
    return ValueDetails(result, found.variant, found.reason.value, metadata=found.metadata)


def _details_of(error: Exception, name: str, default: Value) -> ValueDetails[Value]:
    note_default(name, error, default)
    return ValueDetails(default, "", ERROR, error_code_of(error), words_for(error, name))
