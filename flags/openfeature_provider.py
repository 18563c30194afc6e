"""An OpenFeature provider that answers from this process's memory, so that code need not know Flagsite.

    from openfeature import api
    from flags.openfeature_provider import FlagsiteProvider
    api.set_provider(FlagsiteProvider())

The context's `targeting_key` is the user; its attributes `organizationId` or `organizationKey`, and `environment`, say
where. What is not there comes from the middleware or from `asking_for`. All flags are boolean.
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
from flags.client.context import Called, InvalidOrganization, Whose
from flags.client.evaluate import adecide, decide
from flags.errors import FlagNotFound, TargetingKeyMissing
from flags.evaluation.engine import REASONS
from flags.serving.compiled_flags import Resolution
from flagsite.core.ids import MAX_ID
from orgs.errors import OrganizationNotFound


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
        with _speaking_of(flag_key):
            return _details(decide(flag_key, *_asked(evaluation_context)))

    async def resolve_boolean_details_async(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        fixed = _overridden(flag_key)
        if fixed is not None:
            return fixed
        with _speaking_of(flag_key):
            return _details(await adecide(flag_key, *_asked(evaluation_context)))

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
def _speaking_of(flag_key: str) -> Iterator[None]:
    """Say in OpenFeature's words what went wrong; the SDK then gives the caller's default."""
    try:
        yield
    except FlagNotFound as error:
        raise FlagNotFoundError(error.detail) from error
    except OrganizationNotFound as error:
        raise InvalidContextError(error.detail) from error
    except InvalidOrganization as error:
        raise InvalidContextError(str(error)) from error
    except (OperationalError, InterfaceError) as error:
        raise GeneralError(f"The flag {flag_key!r} is not known here, and the database does not answer.") from error


def _asked(context: EvaluationContext | None) -> tuple[str | None, Whose | None, str | None]:
    """User, organization and environment, as far as the context has them. Raises InvalidContextError."""
    if context is None:
        return None, None, None
    attributes = context.attributes
    organization = _organization(attributes.get("organizationId"), attributes.get("organizationKey"))
    environment: Any = attributes.get("environment")
    if not isinstance(environment, str | None):
        raise InvalidContextError("environment is text.")
    return context.targeting_key, organization, environment


def _organization(its_id: Any, its_key: Any) -> Whose | None:
    """The id before the key, as OFREP has it (`flags.serving.ofrep`); a test holds the two together."""
    if its_id is None and isinstance(its_key, str | None):
        return its_key or None
    if its_id is None or isinstance(its_id, bool) or not isinstance(its_id, int | str):
        raise InvalidContextError("organizationId is a whole number, organizationKey is text.")
    return its_id if isinstance(its_id, int) and 0 < its_id <= MAX_ID else Called(str(its_id))


def _overridden(flag_key: str) -> FlagResolutionDetails[bool] | None:
    layer = overrides.layers.get()
    if layer is None or flag_key not in layer.values:
        return None
    value = layer.values[flag_key]
    return FlagResolutionDetails(value, variant=_variant(value), reason=Reason.STATIC)


def _details(outcome: Resolution) -> FlagResolutionDetails[bool]:
    if outcome.enabled is None:
        missing = outcome.error is TargetingKeyMissing
        raise (TargetingKeyMissingError if missing else GeneralError)(outcome.why)
    return FlagResolutionDetails(
        outcome.enabled,
        variant=_variant(outcome.enabled),
        reason=Reason(REASONS[outcome.rule]),
        flag_metadata=orjson.loads(outcome.json)["metadata"],
    )


def _variant(value: bool) -> str:
    return "on" if value else "off"
