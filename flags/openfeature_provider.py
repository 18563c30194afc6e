"""An OpenFeature provider that evaluates flags from this process's cache, so that code need not know Flagsite.

    from openfeature import api
    from flags.openfeature_provider import FlagsiteProvider
    api.set_provider(FlagsiteProvider())

The context's `targeting_key` is the user's id; its attributes `organizationId` or `organizationKey` name the
organization, and `environment` the environment. Targeting rules can ask for every attribute. The middleware or
`asking_for` sets what is not given. A flag that is asked for as another type is a type mismatch. An integer may be
asked for as a float, and a float as an integer, where this loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode, InvalidContextError, OpenFeatureError
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
from openfeature.provider import AbstractProvider, Metadata

from flags.client.context import AnyOrganization, IdOrKey
from flags.client.values import FAILURES, Found, afind, error_code_of, find, words_for
from flags.targeting.attributes import NO_ATTRIBUTES, Attributes
from flags.values.conversion import converted
from flags.values.types import FlagType
from flagsite.core.ids import MAX_ID

ObjectValue = Sequence[FlagValueType] | Mapping[str, FlagValueType]
Value = TypeVar("Value")


class FlagsiteProvider(AbstractProvider):
    """Resolves flags of all types; `override_flag` holds here too."""

    def get_metadata(self) -> Metadata:
        return Metadata(name="Flagsite")

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        with _openfeature_errors(flag_key):
            return _details(find(flag_key, *_read(evaluation_context)), default_value, FlagType.BOOLEAN)

    async def resolve_boolean_details_async(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        with _openfeature_errors(flag_key):
            return _details(await afind(flag_key, *_read(evaluation_context)), default_value, FlagType.BOOLEAN)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        with _openfeature_errors(flag_key):
            return _details(find(flag_key, *_read(evaluation_context)), default_value, FlagType.STRING)

    async def resolve_string_details_async(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        with _openfeature_errors(flag_key):
            return _details(await afind(flag_key, *_read(evaluation_context)), default_value, FlagType.STRING)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        with _openfeature_errors(flag_key):
            return _details(find(flag_key, *_read(evaluation_context)), default_value, FlagType.INTEGER)

    async def resolve_integer_details_async(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        with _openfeature_errors(flag_key):
            return _details(await afind(flag_key, *_read(evaluation_context)), default_value, FlagType.INTEGER)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        with _openfeature_errors(flag_key):
            return _details(find(flag_key, *_read(evaluation_context)), default_value, FlagType.FLOAT)

    async def resolve_float_details_async(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        with _openfeature_errors(flag_key):
            return _details(await afind(flag_key, *_read(evaluation_context)), default_value, FlagType.FLOAT)

    def resolve_object_details(
        self, flag_key: str, default_value: ObjectValue, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[ObjectValue]:
        with _openfeature_errors(flag_key):
            return _details(find(flag_key, *_read(evaluation_context)), default_value, FlagType.OBJECT)

    async def resolve_object_details_async(
        self, flag_key: str, default_value: ObjectValue, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[ObjectValue]:
        with _openfeature_errors(flag_key):
            return _details(await afind(flag_key, *_read(evaluation_context)), default_value, FlagType.OBJECT)


@contextmanager
def _openfeature_errors(flag_key: str) -> Iterator[None]:
    """Turn errors into OpenFeature's, for which the SDK returns the default value."""
    try:
        yield
    except FAILURES as error:
        raise OpenFeatureError(ErrorCode(error_code_of(error)), words_for(error, flag_key)) from error


def _read(
    context: EvaluationContext | None,
) -> tuple[str | None, AnyOrganization | None, str | None, Attributes]:
    """Targeting key, organization, environment and attributes, as far as the context has them.

    Raises InvalidContextError.
    """
    if context is None:
        return None, None, None, NO_ATTRIBUTES
    attributes = context.attributes
    organization = _organization(attributes.get("organizationId"), attributes.get("organizationKey"))
    environment: Any = attributes.get("environment")
    if not isinstance(environment, str | None):
        raise InvalidContextError("environment is text.")
    return context.targeting_key, organization, environment, attributes


def _organization(organization_id: Any, key: Any) -> AnyOrganization | None:
    """The organization. Like OFREP, an id and a key must name the same (`flags.serving.ofrep.evaluation_context`)."""
    if isinstance(organization_id, bool) or not isinstance(organization_id, int | str | None):
        raise InvalidContextError("organizationId is a whole number, or a reference as text.")
    if not isinstance(key, str | None):
        raise InvalidContextError("organizationKey is text.")
    if organization_id is None:
        return key or None
    is_id = isinstance(organization_id, int) and 0 < organization_id <= MAX_ID
    if is_id and not key:
        return organization_id
    return IdOrKey(f"id:{organization_id}" if is_id else str(organization_id), key or "")


def _details(found: Found, default: Value, wanted: FlagType) -> FlagResolutionDetails[Value]:
    """The details of what was found. Without a value, the application's own default counts. Raises WrongType."""
    value = default if found.value is None else converted(found.value, found.flag_type, wanted)
    return FlagResolutionDetails(
        value, variant=found.variant or None, reason=Reason(found.reason), flag_metadata=found.metadata
    )
