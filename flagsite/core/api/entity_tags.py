"""Entity tags in If-Match and If-None-Match, also those that a compressing proxy has changed.

A proxy that compresses an answer marks the answer's tag: nginx makes it weak (`W/"5.3"`), and other servers add the
coding to it (`"5.3-gzip"`, `"5.3--gzip"`, `"5.3;br"`). The version behind such a tag is still the same.
"""

from __future__ import annotations

import re

from django.utils.http import parse_etags

CODING = re.compile(r"(?:--?|[;:+_])(?:gzip|x-gzip|br|brotli|zstd|deflate|compress|df)\Z", re.IGNORECASE)


def versions_in(header: str) -> frozenset[str]:
    """Return the versions that the header names, without quotes and without the marks of proxies; `*` for any."""
    return frozenset(CODING.sub("", tag.removeprefix("W/").strip('"')) for tag in parse_etags(header))


def is_known(version: str, header: str | None) -> bool:
    """Return whether a client that sends this If-None-Match, or none, has the version already."""
    known = versions_in(header or "")
    return version in known or "*" in known
