"""Semantic versions: https://semver.org (2.0.0), with a leading `v` and without minor or patch too."""

from __future__ import annotations

import re
from functools import lru_cache

LONGEST = 128
MOST_READ = 1024
"""How many texts are kept with their versions: the rules of many flags ask for the same attribute."""
NUMBER = "(0|[1-9][0-9]*)"
BUILD = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
VERSION = re.compile(rf"[vV]?{NUMBER}(?:\.{NUMBER})?(?:\.{NUMBER})?(?:-([0-9A-Za-z.-]+))?(?:\+{BUILD})?")
Identifier = tuple[int, int, str]
Version = tuple[int, int, int, bool, tuple[Identifier, ...]]
"""Major, minor, patch, whether it is a release, and the identifiers of a pre-release. Versions compare as SemVer says.

A number comes before a text, and a release after its pre-releases."""


def version_of(value: object) -> Version | None:
    """Return the version in a text; None if the value is not one."""
    return _version_in(value) if isinstance(value, str) and len(value) <= LONGEST else None


@lru_cache(maxsize=MOST_READ)
def _version_in(value: str) -> Version | None:
    found = VERSION.fullmatch(value)
    if found is None:
        return None
    major, minor, patch, before = found.groups()
    identifiers = before.split(".") if before else []
    if not all(_is_identifier(each) for each in identifiers):
        return None
    numbers = int(major), int(minor or 0), int(patch or 0)
    return (*numbers, not identifiers, tuple(_identifier(each) for each in identifiers))


def _is_identifier(text: str) -> bool:
    """An identifier is not empty, and a number in it has no leading zero."""
    return bool(text) and not (text.isdigit() and len(text) > 1 and text[0] == "0")


def _identifier(text: str) -> Identifier:
    return (0, int(text), "") if text.isdigit() else (1, 0, text)
