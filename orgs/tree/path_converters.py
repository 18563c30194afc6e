"""The converters for organizations in URL paths: `<organization:…>`, and `<top_organization:…>` as a path's first part.

A path names an organization by a reference (`orgs.tree.references`). Importing this module registers the converters.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver, register_converter

from orgs.tree.references import Reference, parse_reference


class OrganizationConverter:
    """Matches one part of a path; any text is the reference of an organization, which may not exist."""

    regex = "[^/]+"

    def to_python(self, value: str) -> Reference:
        return parse_reference(value)

    def to_url(self, value: int | str) -> str:
        return str(value)


class TopOrganizationConverter(OrganizationConverter):
    """Matches the first part of a path, except where other paths of Flagsite begin with it, such as `jobs`.

    An organization with such a key needs the form `key:jobs`.
    """

    def to_python(self, value: str) -> Reference:
        if value in first_parts():
            raise ValueError
        return super().to_python(value)


@functools.cache
def first_parts() -> frozenset[str]:
    """Return the first parts of Flagsite's own paths, also of those that are answered before Django."""
    return frozenset({"ofrep", "static"} | {path.partition("/")[0] for path in _paths(get_resolver().url_patterns)})


def _paths(patterns: Iterable[Any], prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        path = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLPattern) or (isinstance(pattern, URLResolver) and path):
            yield path
        else:
            yield from _paths(pattern.url_patterns, path)


register_converter(OrganizationConverter, "organization")
register_converter(TopOrganizationConverter, "top_organization")
