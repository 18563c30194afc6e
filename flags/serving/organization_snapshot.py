"""One organization as a process knows it: its path, and the flag states that hold for it."""

from __future__ import annotations

from flags.evaluation.engine import OrganizationContext
from flags.serving.packed_states import NO_STATES, PackedStates
from flags.serving.usage_counter import UNCOUNTED

SNAPSHOT_BYTES = 1000
"""About what a view takes beside its states: ids and keys from the root down, and its entries in the memory."""


class OrganizationSnapshot:
    """One organization as a process knows it: its line from the root down to itself, and what holds for it."""

    __slots__ = (
        "__weakref__", "epoch", "ids", "keys", "line", "organization_id", "position", "read_at", "states", "steps",
        "used",
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
    ) -> None:
        self.organization_id = ids[-1] if ids else None
        self.ids = ids
        self.keys = keys
        self.states = states
        """What holds for it."""
        self.position = position
        """The number of the last change that is in what holds, or an older one: it is set last, and looked at first."""
        self.line = repr((keys, ids)).encode()
        """Its place, for fingerprints."""
        self.read_at = read_at
        self.epoch = epoch
        """How often its memory had forgotten everything when it was read."""
        self.used = False
        """Whether it was asked for again since somebody looked which views could go."""
        self.steps = UNCOUNTED
        """How often all flags were evaluated for it (`usage.count_all`)."""

    @property
    def place(self) -> OrganizationContext:
        """The same for `evaluate`."""
        return OrganizationContext(self.ids, self.keys, {row.flag_id: row for row in self.states.rows})


NO_ORGANIZATION = OrganizationSnapshot((), (), NO_STATES, 0)
"""For who asks without an organization: the flags' defaults."""
