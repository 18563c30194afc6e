"""The converter for ids in URL paths; importing this module registers it as `<id:…>`."""

from __future__ import annotations

from django.urls import register_converter

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


register_converter(IdConverter, "id")
