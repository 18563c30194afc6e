"""The lanes of a web process: evaluations have threads of their own, whatever writes and pages do."""

from __future__ import annotations

from typing import Any

from flagsite.web_server.lanes import Lane
from orgs.tree.path_converters import first_parts

Environ = dict[str, Any]
EVALUATIONS = Lane("evaluations")
"""Evaluations by OFREP that need the database, and the reads of one flag: short statements that wait for no lock."""
WRITES = Lane("writes", queued_seconds=0.7)
"""Writes of the API, which may wait for locks. Who is refused has waited for less than a second."""
PAGES = Lane("pages")
"""All other requests: pages and forms of the admin site, sign-ins, and lists of the API."""
LANES = (EVALUATIONS, WRITES, PAGES)
OFREP = "/ofrep/v1/"
READS_OF_ONE_FLAG = frozenset({"check", "explain"})
READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
PEOPLE = frozenset({"admin"})
"""First parts of the paths whose forms a person sends, who cannot repeat a request as a client library does."""


def lane_of(environ: Environ) -> Lane:
    """The lane of a request, which only its method and its path decide."""
    path: str = environ["PATH_INFO"]
    if OFREP in path:
        return EVALUATIONS
    is_reading = environ["REQUEST_METHOD"] in READING_METHODS
    match path.split("/"):
        case ["", "v1", "feature-flags", _, last] if last in READS_OF_ONE_FLAG:
            return EVALUATIONS  # by POST too, for a long context
        case ["", organization, _] if is_reading and organization not in first_parts():
            return EVALUATIONS
        case ["", first, *_] if first in PEOPLE:
            return PAGES
    return PAGES if is_reading else WRITES


def prepare() -> None:
    """Read the URL paths now, so that the event loop need not do so during the first request."""
    first_parts()
