"""The flag file: all definitions and segments as one JSON document, with the same bytes for the same content.

The names in an object are sorted, the flags and the segments are in the order of their names, and the indentation is
two spaces. A file has everything that people define, and nothing that Flagsite counts, such as versions and times. So
an export of what was imported has the same bytes as the file.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from flags.definitions.fields import as_json, values_of
from flags.definitions.models import Flag
from flags.moving.segments_of_file import segments_of_file

FORMAT = "flagsite-flags-1"
"""The name of the format in the file. A later format that older versions cannot read gets another name."""


def document(*, with_archived: bool = False) -> dict[str, Any]:
    """Return the flag file as JSON values.

    Args:
        with_archived: whether the file has archived flags too.
    """
    return document_and_revision(with_archived=with_archived)[0]


def document_and_revision(*, with_archived: bool = False) -> tuple[dict[str, Any], str]:
    """Return the flag file as JSON values, and the revision of the definitions that it was made of."""
    whole = _whole()
    flags = whole["flags"] if with_archived else [flag for flag in whole["flags"] if not flag["archived"]]
    return whole | {"flags": flags}, _revision_of(whole)


def revision() -> str:
    """Return the revision of the definitions, which is another one after any change. It is the ETag of the flag file.

    Archived flags count, because a write of a file may change them. So the file has one revision in both of its forms,
    and who has read the shorter one overwrites no change of an archived flag.
    """
    return _revision_of(_whole())


def text_of(content: dict[str, Any]) -> str:
    """Return a flag file as the text that `export_flags` writes."""
    return json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def _whole() -> dict[str, Any]:
    """Return the flag file with archived flags; those that are being purged are in no file."""
    flags = sorted(Flag.objects.filter(purging=False).prefetch_related("prerequisites"), key=lambda flag: flag.key)
    segments = segments_of_file()
    return {
        "format": FORMAT,
        "flags": [{"name": flag.key, **as_json(values_of(flag))} for flag in flags],
        **({"segments": segments} if segments else {}),
    }


def _revision_of(whole: dict[str, Any]) -> str:
    return hashlib.sha256(text_of(whole).encode()).hexdigest()[:32]
