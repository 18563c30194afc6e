"""The numbers of the nested set, and the gaps between them.

An organization starts at `lft` and ends at `rght`. Everything below it lies between these two numbers. The unused
numbers before its end are its *gap*, into which new and moved organizations go. So a change of the tree writes only the
organizations that it creates, moves or counts, and not everything to the right of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt


@dataclass(frozen=True, slots=True)
class Spacing:
    """How wide gaps are.

    `unit` is the gap of each organization where nothing limits it. No number exceeds `limit`, as long as a tree has
    fewer organizations than `limit / unit`. `least` is the smallest gap of an organization that is placed alone.
    `window` is the number of organizations on either side of a full gap that are spread first.
    """

    unit: int = 2**32
    limit: int = 2**60
    least: int = 16
    window: int = 32

    def needed(self, organizations: int) -> int:
        """Return the gap that each of so many organizations must get when they are placed or spread together.

        It grows with their number. So the more organizations a statement writes, the longer they have room.
        """
        return self.least * (isqrt(organizations) + 1)

    def of_tree(self, organizations: int) -> int:
        """Return the gap of each organization of a tree that is numbered from its start."""
        return max(1, min(self.unit, self.limit // organizations - 1))


FEWEST_EXPECTED, MOST_EXPECTED = 15, 1_023
"""How many more organizations a parent is expected to get: as many as are below it, within these limits."""

SPACING = Spacing()
"""The widths in use. A test sets small ones, so that gaps are full after a few changes."""


def numbers(start: int, step: int, *, index: int, above: int, below: int) -> tuple[int, int]:
    """Return `lft` and `rght` of one organization of a subtree whose organizations all get the gap `step`.

    `start` is the first number of the subtree. `index` counts the organizations before this one depth-first, and
    `above` counts its ancestors among them. `below` counts the organizations below it.
    """
    lft = start + index + step * (index - above)
    return lft, lft + step * (below + 1) + below


def share(free: int, size: int, descendants: int, *, least: int) -> int:
    """Return how many of the free numbers of a gap an arriving subtree gets; more than `free` if they do not suffice.

    Its part is that of its size among all that are still expected below the parent, but at most half. Each of its
    organizations gets a gap of at least `least`.
    """
    expected = min(max(descendants, FEWEST_EXPECTED), MOST_EXPECTED)
    return max(min(free // 2, free * size // (size + expected)), size * (least + 1))
