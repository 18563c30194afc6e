"""An OpenFeature provider that evaluates flags from this process's cache, so that code need not know Flagsite.

    from openfeature import api
    from flags.openfeature_provider import FlagsiteProvider
    api.set_provider(FlagsiteProvider())

The context's `targeting_key` is the user's id; its attributes `organizationId` or `organizationKey` name the
organization, and `environment` the environment. Targeting rules can ask for every attribute. The middleware or
`asking_for` sets what is not given. All flags are boolean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import orjson
from django.db import InterfaceError, OperationalError
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import (
    FlagNotFoundError,
    GeneralError,
    InvalidContextError,
    TargetingKeyMissingError,
    TypeMismatchError,
)
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
from openfeature.provider import AbstractProvider, Metadata

from flags.client import overrides
from flags.client.context import AnyOrganization, IdOrKey, InvalidOrganization
from flags.client.evaluate import aresolve, resolve
from flags.errors import FlagNotFound, TargetingKeyMissing
from flags.serving.resolution import Resolution
from flags.targeting.attributes import NO_ATTRIBUTES, Attributes
from flagsite.core.ids import MAX_ID
from orgs.errors import OrganizationAmbiguous, OrganizationNotFound


class FlagsiteProvider(AbstractProvider):
    """Resolves boolean flags; `override_flag` holds here too."""

    def get_metadata(self) -> Metadata:
        return Metadata(name="Flagsite")

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        fixed = _overridden(flag_key)
        if fixed is not None:
            return fixed
        with _openfeature_errors(flag_key):
            return _details(resolve(flag_key, *_read(evaluation_context)))

    async def resolve_boolean_details_async(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        fixed = _overridden(flag_key)
        if fixed is not None:
            return fixed
        with _openfeature_errors(flag_key):
            return _details(await aresolve(flag_key, *_read(evaluation_context)))

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        _refuse(flag_key)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        _refuse(flag_key)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        _refuse(flag_key)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        _refuse(flag_key)


def _refuse(flag_key: str) -> NoReturn:
    raise TypeMismatchError(f"The flag {flag_key!r} is boolean, as all are.")


@contextmanager
def _openfeature_errors(flag_key: str) -> Iterator[None]:
    """Turn errors into OpenFeature's, for which the SDK returns the default value."""
    try:
        yield
    except FlagNotFound as error:
        raise FlagNotFoundError(error.detail) from error
    except (OrganizationNotFound, OrganizationAmbiguous) as error:
        raise InvalidContextError(error.detail) from error
    except InvalidOrganization as error:
        raise InvalidContextError(str(error)) from error
    except (OperationalError, InterfaceError) as error:
        raise GeneralError(f"The flag {flag_key!r} is not known here, and the database does not answer.") from error


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


def _overridden(flag_key: str) -> FlagResolutionDetails[bool] | None:
    layer = overrides.layers.get()
    if layer is None or flag_key not in layer.values:
        return None
    value = layer.values[flag_key]
    return FlagResolutionDetails(value, variant=_variant(value), reason=Reason.STATIC)


def _details(resolution: Resolution) -> FlagResolutionDetails[bool]:
    if resolution.enabled is None:
        missing = resolution.error is TargetingKeyMissing
        raise (TargetingKeyMissingError if missing else GeneralError)(resolution.why)
    return FlagResolutionDetails(
        resolution.enabled,
        variant=_variant(resolution.enabled),
        reason=Reason(resolution.reason),
        flag_metadata=orjson.loads(resolution.json)["metadata"],
    )


def _variant(value: bool) -> str:
    return "on" if value else "off"
