"""The flag file: all definitions and segments as one JSON document, with the same bytes for the same content.

The names in an object are sorted, the flags and the segments are in the order of their names, and the indentation is
two spaces. A file has everything that people define, and nothing that Flagsite counts, such as versions and times. So
an export of what was imported has the same bytes as the file.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.db.models import QuerySet

from flags.definitions.fields import as_json, values_of
from flags.definitions.models import Flag
from flags.moving.segments_of_file import segments_of_file

FORMAT = "flagsite-flags-1"
"""The name of the format in the file. A later format that older versions cannot read gets another name."""


def flags_of_file(*, with_archived: bool = False) -> QuerySet[Flag]:
    """Return the flags that the file has: those that are not being purged, and not archived without `with_archived`."""
    flags = Flag.objects.filter(purging=False).prefetch_related("prerequisites").order_by("key")
    return flags if with_archived else flags.filter(archived=False)


def document(*, with_archived: bool = False) -> dict[str, Any]:
    """Return the flag file as JSON values.

    Args:
        with_archived: whether the file has archived flags too.
    """
    flags = sorted(flags_of_file(with_archived=with_archived), key=lambda flag: flag.key)
    segments = segments_of_file()
    return {
        "format": FORMAT,
        "flags": [{"name": flag.key, **as_json(values_of(flag))} for flag in flags],
        **({"segments": segments} if segments else {}),
    }


def text_of(content: dict[str, Any]) -> str:
    """Return a flag file as the text that `export_flags` writes."""
    return json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def revision_of(content: dict[str, Any]) -> str:
    """Return the revision of a flag file, which is another one for any other definitions. It is the answer's ETag."""
    return hashlib.sha256(text_of(content).encode()).hexdigest()[:32]


def revisions() -> frozenset[str]:
    """Return the revisions of the current flag file, without and with archived flags."""
    return frozenset(revision_of(document(with_archived=archived)) for archived in (False, True))
