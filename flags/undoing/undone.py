"""What an undo would do, and what it has done: the same for all kinds of changes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flags.definitions.definition_plan import DefinitionPlan
from flags.definitions.models import Flag
from flags.segments.models import Segment
from flags.segments.segment_plan import SegmentPlan
from flags.states.move_planning import MovePlan
from flags.states.plan_figures import Figures, figures, figures_of_flag
from flags.states.planning import ANYTHING, Agreed, Plan
from jobs.engine.models import Job
from orgs.access.caller import Caller
from orgs.tree.models import Organization

MOST_NAMED = 100
"""Settings and organizations that a plan or an answer names at most."""
NOTHING_LEFT = "Everything that the change has set was changed or moved away since, so there is nothing to undo."
SETTING, DEFINITION, SEGMENT, MOVE = "setting", "definition", "segment", "move"
KINDS = (SETTING, DEFINITION, SEGMENT, MOVE)
"""The kinds of changes."""


@dataclass(frozen=True, slots=True)
class Restored:
    """One thing that an undo restores, with its values now and afterwards, in JSON.

    This is the setting or the parent of an organization, or a field of a definition or segment, by its name in JSON.
    """

    before: Any
    after: Any
    organization_id: int | None = None
    field: str | None = None


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """What was changed since, so that the undo leaves it alone: settings, or fields of a definition or segment.

    `organization_ids` are MOST_NAMED at most; `count` is the number of all, with those that were moved away.
    """

    organization_ids: Sequence[int] = ()
    fields: Sequence[str] = ()
    count: int = 0


@dataclass(frozen=True, slots=True)
class UndoPlan:
    """What an undo would do. Nothing is written.

    `restores` has MOST_NAMED at most; `restored` is the number of all. `effect` is the plan of the new change.
    """

    undone: UndoableChange
    organizations: int
    changed: int
    is_estimate: bool
    restored: int
    restores: Sequence[Restored]
    left_alone: LeftAlone
    effect: Plan | MovePlan | DefinitionPlan | SegmentPlan

    @property
    def unchanged(self) -> int:
        """The number of organizations that get no other value."""
        return self.organizations - self.changed

    def figures(self, caller: Caller) -> Figures:
        """Return who has asked lately for the flags that would change, and which jobs are under way."""
        if isinstance(self.effect, DefinitionPlan):
            return figures_of_flag(caller, self.effect.flag, changed=self.changed)
        if isinstance(self.effect, SegmentPlan):
            return Figures({}, [])
        flag = self.undone.flag
        return figures(caller, self.effect.subtree, self.effect.changes, [flag.pk] if flag else None)


@dataclass(frozen=True, slots=True)
class Undone:
    """An accepted undo. `number` is that of the new change; None if a job makes the change later.

    `job` carries the change down, or makes it.
    """

    undone: UndoableChange
    number: int | None
    restored: int
    left_alone: LeftAlone
    job: Job | None


class UndoableChange(ABC):
    """A change that can be undone, for a caller who may do this."""

    kind: str
    number: int
    flag: Flag | None = None
    segment: Segment | None = None
    organization: Organization | None = None
    requested_by: str = ""
    created_at: datetime | None = None

    @property
    def organization_id(self) -> int | None:
        """The id of the organization that the change concerns."""
        return self.organization.pk if self.organization else None

    @property
    def flag_key(self) -> str | None:
        """The key of the flag that the change concerns."""
        return self.flag.key if self.flag else None

    @property
    def segment_key(self) -> str | None:
        """The key of the segment that the change concerns."""
        return self.segment.key if self.segment else None

    @property
    @abstractmethod
    def in_words(self) -> str:
        """What the change did, as the rest of a sentence after its author."""

    @abstractmethod
    def plan(self) -> UndoPlan:
        """Return what the undo would do. Raises the errors of `undo`."""

    @abstractmethod
    def undo(self, *, agreed: Agreed = ANYTHING, correlation_id: str = "", reason: str = "") -> Undone:
        """Undo the change, in a transaction of its own. `agreed` is what the caller knows of the effect.

        Raises ChangeNotFound, ChangeNotUndoable, PlanStale, BlastRadius, and the errors of a change of this kind.
        """
