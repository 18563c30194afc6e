"""References: the texts with which people and programs name an organization, at every door of Flagsite.

| text     | names                                                                                      |
| -------- | ------------------------------------------------------------------------------------------ |
| `id:31`  | the organization with the id 31                                                            |
| `key:31` | the organization with the key `31`; all characters after `key:` are the key                |
| `31`     | the organization with the id 31; refused if another organization has the key `31`          |
| `acme`   | the organization with the key `acme`                                                       |

So a bare number never names an organization by its key, and no text ever begins to name another organization. A number
is what `flagsite.core.ids.id_in` accepts. Other digits, such as `007`, can never be an id, so they are a key. A JSON
integer is always an id. For a caller with a scope, the organizations outside of it count as absent.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TypeVar

from flagsite.core.ids import MAX_ID, id_in
from orgs.errors import OrganizationAmbiguous, OrganizationNotFound

ID_PREFIX, KEY_PREFIX = "id:", "key:"
LONGEST = 255 + len(KEY_PREFIX)
"""The length of the longest text that can name an organization."""
Named = TypeVar("Named")


@dataclass(frozen=True, slots=True)
class Reference:
    """A text that names an organization, with the id and the key that it may mean; both are None if it means nothing.

    Only a bare number has both.
    """

    text: str
    id: int | None = None
    key: str | None = None

    def choose(self, by_id: Named | None, by_key: Named | None) -> Named:
        """Return the organization that the text names: `by_id` has its id, `by_key` its key; None where there is none.

        Raises OrganizationAmbiguous and OrganizationNotFound.
        """
        if self.id is not None and by_key is not None and by_key != by_id:
            raise self._ambiguity(has_id=by_id is not None)
        found = by_key if by_id is None else by_id
        if found is None:
            raise OrganizationNotFound
        return found

    def _ambiguity(self, *, has_id: bool) -> OrganizationAmbiguous:
        other = "one organization has this id, and another" if has_id else "no organization has this id, but one"
        return OrganizationAmbiguous(
            f"{self.text} is ambiguous: {other} has this key. Write {ID_PREFIX}{self.text} for the id or "
            f"{KEY_PREFIX}{self.text} for the key."
        )


@functools.lru_cache(maxsize=4096)
def _parse(text: str) -> Reference:
    if text.startswith(ID_PREFIX):
        return Reference(text, id=id_in(text.removeprefix(ID_PREFIX)))
    key = text.removeprefix(KEY_PREFIX)
    return Reference(text, None if key != text else id_in(text), key if _is_storable(key) else None)


def parse_reference(text: str | int) -> Reference:
    """Return the reference in a text, or the reference by id for an integer. Whatever the text is, this succeeds."""
    if isinstance(text, int):
        return Reference(f"{ID_PREFIX}{text}", id=text if 0 < text <= MAX_ID else None)
    return _parse(text) if len(text) <= LONGEST else Reference(text[:LONGEST])


def _is_storable(key: str) -> bool:
    """Return whether PostgreSQL can store the text: it is not empty and has neither NUL nor a lone surrogate."""
    try:
        return bool(key) and b"\0" not in key.encode()
    except UnicodeEncodeError:
        return False
