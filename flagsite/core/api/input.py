"""Strict parsing and validation of JSON bodies and query parameters: an unknown name is an error."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar, NoReturn

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import UnreadablePostError
from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import ParseError, UnsupportedMediaType, ValidationError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from flagsite.core import actor
from flagsite.core.ids import MAX_ID

REASON_HEADER = "X-Reason"
"""The header with the reason of a write, for clients that send no body."""


class JsonBody(BaseParser):
    """Parses JSON in UTF-8, whatever charset the request names. Refuses NaN, duplicate names and very deep nesting."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        try:
            body = self.read(stream, parser_context or {}).decode()
            return json.loads(body, parse_constant=_refuse_constant, object_pairs_hook=_without_duplicates)
        except UnreadablePostError:
            raise ParseError("The body ended too early.") from None
        except RecursionError:
            raise ParseError("The body is nested too deeply.") from None
        except ValueError as error:
            raise ParseError(f"The body is not valid JSON: {printable(str(error))}") from None

    def read(self, stream: Any, context: Mapping[str, Any]) -> bytes:
        """Return the body. Raises RequestDataTooBig, UnreadablePostError."""
        return bytes(_request_of(context).body)  # Django refuses a body that is too large


class LongJsonBody(JsonBody):
    """Parses JSON as long as the view says, whose fields may be longer than MAX_REQUEST_BYTES together.

    The view has the attribute `longest_body`, and gets the SHA-256 of the body as `body_digest`.
    """

    def read(self, stream: Any, context: Mapping[str, Any]) -> bytes:
        view = context["view"]
        longest = max(view.longest_body, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        length = int(_request_of(context).META.get("CONTENT_LENGTH") or 0)
        if length > longest:
            raise RequestDataTooBig
        body: bytes = stream.read(length)
        if len(body) != length:
            raise UnreadablePostError
        view.body_digest = hashlib.sha256(body).digest()
        return body


class EmptyForm(BaseParser):
    """Parses a multipart form without fields, which some clients send as an empty body. Refuses a form with fields."""

    media_type = "multipart/form-data"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        request = _request_of(parser_context)
        boundary = (request.content_params or {}).get("boundary", "")
        if request.body.strip() != f"--{boundary}--".encode():
            raise UnsupportedMediaType(self.media_type)
        return {}


class InputSerializer(serializers.Serializer[Any]):
    """A JSON body with the declared fields; an unknown field is an error."""

    combinations: ClassVar[dict[str, Any]] = {}
    """A part of the JSON Schema that says which fields a body has together; `validate` refuses all others."""

    @classmethod
    def read(cls, request: Request) -> dict[str, Any]:
        """Return the body's validated fields. Raises ValidationError, ParseError or UnsupportedMediaType."""
        return _validated(cls(data=request.data))

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            taken = [name for name, field in self.fields.items() if not field.read_only]
            refuse_unknown(data, self.fields, taken)
        return super().to_internal_value(data)


class QuerySerializer(InputSerializer):
    """Query parameters: each declared parameter at most once; an unknown parameter is an error."""

    @classmethod
    def read(cls, request: Request, also: Iterable[str] = ()) -> dict[str, Any]:
        """Return the validated parameters, without those in `also`, which other code reads. Raises ValidationError."""
        for name, values in request.query_params.lists():
            if len(values) > 1:
                raise ValidationError({printable(name): ["This parameter was given more than once."]})
        parameters = {name: value for name, value in request.query_params.items() if name not in set(also)}
        return _validated(cls(data=parameters))


@extend_schema_field({"type": "string"})
class Text(serializers.CharField):
    """A JSON string. A number is an error."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise ValidationError("Not a string.", code="invalid")
        return super().to_internal_value(data)


def _reason_field() -> Text:
    return Text(
        max_length=actor.MAX_REASON_LENGTH,
        required=False,
        allow_blank=True,
        help_text=f"The reason, which the audit log keeps. The header {REASON_HEADER} counts if the body has none.",
    )


class WriteInput(InputSerializer):
    """The JSON body of a write. Each write takes a reason, in the body or in a header, for its audit entries."""

    reason = _reason_field()

    @classmethod
    def read(cls, request: Request) -> dict[str, Any]:
        """Return the body's validated fields, and make the reason a part of the action context.

        Raises ValidationError, ParseError or UnsupportedMediaType.
        """
        values = super().read(request)
        in_header = _reason_in_header(request)
        actor.give_reason(values.pop("reason", "") or in_header)
        return values


@extend_schema_serializer(
    component_name="Reason", examples=[OpenApiExample("In words", value={"reason": "The database is back."})]
)
class ReasonInput(WriteInput):
    """The body of a write that needs no input. A request without a body is accepted too."""


def take_reason_from_header(request: Request) -> None:
    """Make the reason in the header a part of the action context, for a write whose body is a file.

    Raises ValidationError.
    """
    actor.give_reason(_reason_in_header(request))


def _reason_in_header(request: Request) -> str:
    """Return the reason in the header, in UTF-8, or an empty text. Raises ValidationError."""
    text = request.headers.get(REASON_HEADER, "")
    with contextlib.suppress(UnicodeError):
        text = text.encode("latin-1").decode()  # WSGI decodes headers as Latin-1
    try:
        return _reason_field().run_validation(text)
    except ValidationError as error:
        raise ValidationError({REASON_HEADER: error.detail}) from None


class StrictBoolean(serializers.BooleanField):
    """A JSON true or false. A string or a number is an error."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class IdInQuery(serializers.IntegerField):
    """An optional id in a query parameter, in digits."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=MAX_ID, required=False, **kwargs)


def whole_number(data: Any) -> int | None:
    """Return a JSON integer, which may be written as 31 or 31.0; None for everything else."""
    if isinstance(data, float) and data.is_integer():
        return int(data)
    return data if isinstance(data, int) and not isinstance(data, bool) else None


class Id(serializers.IntegerField):
    """A JSON integer that can be an id. A string or a fraction is an error."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=MAX_ID, **kwargs)

    def to_internal_value(self, data: Any) -> int:
        number = whole_number(data)
        if number is None:
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        return number


def printable(text: str, most: int = 100) -> str:
    """Return the first characters of the text, at most `most`, with � for each character that is not printable."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text[:most])


def _request_of(parser_context: Mapping[str, Any] | None) -> Request:
    request: Request = (parser_context or {})["request"]
    return request


def _validated(serializer: InputSerializer) -> dict[str, Any]:
    if not serializer.is_valid():
        raise ValidationError(errors_of(serializer))
    return dict(serializer.validated_data)


def errors_of(serializer: serializers.Serializer[Any]) -> dict[str, Any]:
    """Return the errors by field of a serializer whose input is not valid. A wrong choice lists the choices."""
    return {name: _with_choices(serializer.fields.get(name), texts) for name, texts in serializer.errors.items()}


def _with_choices(field: Any, errors: Any) -> Any:
    """Add the choices to the messages about values that are none of them, also for the entries of a list."""
    if isinstance(errors, Mapping):
        return {key: _with_choices(getattr(field, "child", None), inner) for key, inner in errors.items()}
    choices = getattr(field, "choices", None)
    if not choices or not isinstance(errors, list):
        return errors
    words = f" Write one of these: {', '.join(map(str, choices))}."
    return [message + words if getattr(message, "code", "") == "invalid_choice" else message for message in errors]


def refuse_unknown(given: Iterable[str], known: Collection[str], taken: Collection[str] | None = None) -> None:
    """Refuse names that are not among the known ones. Raises ValidationError.

    The message lists the known ones, or only those that are `taken`: a client may send back what it has read, but a
    field that only Flagsite writes is no help to a client that writes.
    """
    unknown = [name for name in given if name not in known]
    if unknown:
        listed = ", ".join(known if taken is None else taken)
        fields = f"The fields are: {listed}." if listed else "Nothing can be sent here."
        raise ValidationError({printable(name): [f"This field does not exist here. {fields}"] for name in unknown[:20]})


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return result


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
