"""Undo: a new change that restores what an earlier change has replaced. All doors call `find`, then `plan` or `undo`.

There are changes of settings, changes of definitions, and moves; a module for each kind knows how to undo it. What
somebody has changed since stays as it is. An undo has a number of its own, and can be undone.
"""

from __future__ import annotations

from flags.errors import ChangeNotFound
from flags.undoing import undo_definition, undo_move, undo_segment, undo_settings
from flags.undoing.undone import UndoableChange
from orgs.access.caller import Caller

FINDERS = (undo_definition.find, undo_segment.find, undo_move.find, undo_settings.find)


def find(caller: Caller, number: int) -> UndoableChange:
    """Return the change with a number, if the caller may undo it.

    Raises ChangeNotFound, also for a change that the caller may not see; ChangeNotUndoable and RoleNeeded.
    """
    for find_of_kind in FINDERS:
        found = find_of_kind(caller, number)
        if found is not None:
            return found
    raise ChangeNotFound
