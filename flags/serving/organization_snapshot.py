"""One organization as the evaluation cache keeps it: its path and its flag states."""

from __future__ import annotations

from hashlib import blake2b

from flags.evaluation.engine import OrganizationContext
from flags.serving.held_attributes import NO_HELD_ATTRIBUTES, HeldAttributes
from flags.serving.packed_states import NO_STATES, PackedStates
from flags.serving.usage_counter import UNCOUNTED

SNAPSHOT_BYTES = 1000
"""About what a snapshot takes beside its packed states: the ids and keys of its path, its entries in the cache."""
USUAL_LEVELS = 8
LEVEL_BYTES = 60
"""What each further organization of a longer path takes: its id, and its key, which all snapshots share."""
LONGEST_PATH_BYTES = 500
"""A longer text of a path counts by its hash, so that no read has to go through a long path."""


class OrganizationSnapshot:
    """One organization: the ids and keys of its path, from the root down to itself, its flag states and attributes.

    Only `states` and `position` change afterwards, when the snapshot catches up with the change log.
    """

    __slots__ = (
        "__weakref__", "attributes", "epoch", "ids", "is_named_by_id", "keys", "organization_id", "path_bytes",
        "position", "read_at", "states", "steps", "used",
    )  # fmt: skip

    def __init__(
        self,
        ids: tuple[int, ...],
        keys: tuple[str, ...],
        states: PackedStates,
        position: int,
        *,
        epoch: int = 0,
        read_at: float = 0.0,
        attributes: HeldAttributes = NO_HELD_ATTRIBUTES,
    ) -> None:
        self.organization_id = ids[-1] if ids else None
        self.ids = ids
        self.keys = keys
        self.is_named_by_id: bool | None = None
        """Whether its bare id names it, because no other organization has the id as its key; None: not known yet."""
        self.states = states
        self.position = position
        """The number of the last event in the change log that `states` has in it. It is set last and read first."""
        self.attributes = attributes
        """Those attributes that hold in it and that targeting rules read."""
        path = repr((keys, ids)).encode() + attributes.content
        self.path_bytes = path if len(path) <= LONGEST_PATH_BYTES else blake2b(path, digest_size=32).digest()
        """The path and the attributes, for fingerprints."""
        self.read_at = read_at
        self.epoch = epoch
        """How often the cache had been cleared when the snapshot was read."""
        self.used = False
        """Whether somebody asked for it since its last turn (`EvaluationCache`)."""
        self.steps = UNCOUNTED
        """How often all flags were evaluated for it (`usage_counter.count_all`)."""

    @property
    def size(self) -> int:
        """About what it takes in memory beside its packed states, in bytes."""
        return SNAPSHOT_BYTES + LEVEL_BYTES * max(0, len(self.ids) - USUAL_LEVELS)

    @property
    def context(self) -> OrganizationContext:
        """The same as `flags.evaluation.engine.evaluate` takes it."""
        return OrganizationContext(self.ids, self.keys, {row.flag_id: row for row in self.states.rows}, self.attributes)


NO_ORGANIZATION = OrganizationSnapshot((), (), NO_STATES, 0)
"""For an evaluation without an organization: the flags' defaults."""
