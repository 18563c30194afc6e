"""Where in the tree an evaluation takes place, as clauses and rollouts ask for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from flags.targeting.attributes import NO_ATTRIBUTES, Attributes

Keys = Sequence[str]
"""The keys of the organizations on a path, root first; empty if the evaluation has no organization."""


class Place(Protocol):
    """Where in the tree an evaluation takes place: the path, and the attributes of the organization."""

    @property
    def keys(self) -> Keys: ...

    @property
    def attributes(self) -> Attributes:
        """The attributes of the organization by name, without `org.`; those that it inherits are among them."""


class PlaceOf(NamedTuple):
    """A place that is made of its parts."""

    keys: Keys = ()
    attributes: Attributes = NO_ATTRIBUTES
    attribute_sources: Mapping[str, str] = {}
    """The key of the organization from which each attribute comes."""


NOWHERE = PlaceOf()
"""The place of an evaluation without an organization."""
