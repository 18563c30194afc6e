"""The paths of the protocol, and Flagsite's own that name an organization first."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

BULK_PATH = "/ofrep/v1/evaluate/flags"
SINGLE_PATH = f"{BULK_PATH}/"
ORGANIZATION_PATH = re.compile(
    f"/organizations/(?P<organization>[^/]{{1,255}}){BULK_PATH}(?:/(?P<flag_key>.+))?", re.DOTALL
)
LONGEST_CACHED_PATH = 600
"""So the routes that are cached take a few megabytes at most, whatever is sent."""


@dataclass(frozen=True, slots=True)
class Route:
    """What a path asks for: one flag, or all where `flag_key` is None, of the organization if it names one."""

    path: str
    organization: str | None
    """A reference (`orgs.tree.references`)."""
    flag_key: str | None
    name: str
    """Requests are counted under it."""


PREFIX = re.compile(r"(/organizations/[^/]{1,255})?/ofrep/v1/")
UNKNOWN_ROUTE = "unknown"
BULK_ROUTE = Route(BULK_PATH, None, None, BULK_PATH[1:])


def find_route(path: str) -> Route | None:
    """The route of a path other than BULK_PATH, decoded; None for a path that the protocol does not have."""
    return _find_short(path) if len(path) <= LONGEST_CACHED_PATH else _find(path)


def belongs_to_protocol(path: str) -> bool:
    """Whether the protocol's own form of errors applies to a path, also if there is nothing at this path."""
    return PREFIX.match(path) is not None


def _find(path: str) -> Route | None:
    if path.startswith(SINGLE_PATH):
        flag_key = path[len(SINGLE_PATH) :]
        if not flag_key:
            return None
        return Route(path, None, flag_key, f"{SINGLE_PATH[1:]}<key>")
    found = ORGANIZATION_PATH.fullmatch(path)
    if found is None:
        return None
    organization, flag_key = found["organization"], found["flag_key"]
    name = f"organizations/<organization>{BULK_PATH if flag_key is None else f'{SINGLE_PATH}<key>'}"
    return Route(path, organization, flag_key, name)


_find_short = lru_cache(maxsize=4096)(_find)
