"""The attributes that hold in organizations, kept once for all organizations that have the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

import orjson

OBJECT_BYTES = 500
"""About what `HeldAttributes` take beside their content: the object, and its entry in `InternedAttributes`."""
BYTES_OF_CONTENT = 4
"""About how many bytes the objects take for each byte of the content as JSON, which is kept too."""


class HeldAttributes(dict[str, Any]):
    """The attributes that hold in an organization, by name. `content` is the same for the same attributes.

    Nobody changes them. The content is empty where there are none.
    """

    __slots__ = ("__weakref__", "_interned_by", "content")

    def __init__(
        self, values: Mapping[str, Any], content: bytes = b"", interned_by: InternedAttributes | None = None
    ) -> None:
        super().__init__(values)
        self.content = content
        self._interned_by = interned_by

    def __del__(self) -> None:
        if self._interned_by is not None:
            self._interned_by.size -= _size(self.content)


class InternedAttributes:
    """All attributes in use, each content once; they go with the last organization that has them."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[bytes, HeldAttributes] = WeakValueDictionary()
        self.size = 0
        """About what they take in memory, in bytes."""

    def of(self, values: Mapping[str, Any]) -> HeldAttributes:
        """The attributes with these values."""
        if not values:
            return NO_HELD_ATTRIBUTES
        content = bytes(memoryview(orjson.dumps(values, option=orjson.OPT_SORT_KEYS)))
        found = self._known.get(content)
        if found is None:
            self.size += _size(content)
            found = self._known.setdefault(content, HeldAttributes(values, content, self))
        return found


def _size(content: bytes) -> int:
    return OBJECT_BYTES + BYTES_OF_CONTENT * len(content)


NO_HELD_ATTRIBUTES = HeldAttributes({})
"""Of an organization without attributes, and of an evaluation without an organization."""
