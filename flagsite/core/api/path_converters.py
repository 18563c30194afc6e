"""The converter for ids in URL paths; importing this module registers it as `<id:…>`."""

from __future__ import annotations

from django.urls import register_converter
from django.urls.resolvers import RoutePattern

from flagsite.core.ids import id_in


class IdConverter:
    """Matches a positive integer that fits into PostgreSQL's bigint; any other text leads to 404."""

    regex = "[1-9][0-9]{0,18}"

    def to_python(self, value: str) -> int:
        number = id_in(value)
        if number is None:
            raise ValueError
        return number

    def to_url(self, value: int) -> str:
        return str(value)


def needs_an_id(path: str, error: Exception) -> bool:
    """Return whether a path that has no view would have one with an id in it.

    Args:
        path: the path of a request.
        error: the exception for which Django answers 404; a Resolver404 says which patterns it has tried.
    """
    details = error.args[0] if error.args else None
    tried = details.get("tried", ()) if isinstance(details, dict) else ()
    return any(_would_match(path.lstrip("/"), patterns[-1].pattern) for patterns in tried)


def _would_match(path: str, pattern: object) -> bool:
    if not isinstance(pattern, RoutePattern) or not any(
        isinstance(converter, IdConverter) for converter in pattern.converters.values()
    ):
        return False
    parts, expected = path.split("/"), str(pattern).split("/")
    return len(parts) == len(expected) and all(
        part == place or (place.startswith("<") and part) for part, place in zip(parts, expected, strict=True)
    )


register_converter(IdConverter, "id")
