"""ETags of bulk answers (RFC 9110, section 8.8.3), with which a client asks whether its answer still holds."""

from __future__ import annotations

from mmh3 import mmh3_x64_128_digest

from flags.serving.organization_snapshot import OrganizationSnapshot
from flagsite.core.api.entity_tags import versions_in
from orgs.access.caller import Caller


def entity_tag(
    fingerprints: bytes, snapshot: OrganizationSnapshot, caller: Caller, targeting_key: str, environment: str
) -> str:
    """The tag of an answer, known before anything is evaluated and the same in every process.

    `fingerprints` are those of definitions, flag states and event stream, and then the attributes that targeting rules
    read: the answer depends on them and on the rest.
    """
    asked = f"{caller.name}\n{len(targeting_key)}:{targeting_key}{environment}".encode()
    return f'"{mmh3_x64_128_digest(fingerprints + snapshot.path_bytes + asked).hex()}"'


def matches(header: str, tag: str) -> bool:
    """Whether an If-None-Match header names the tag (RFC 9110, section 13.1.2)."""
    return header == tag or not versions_in(header).isdisjoint({"*", tag.strip('"')})
