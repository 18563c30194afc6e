"""The flags that a caller may see: all code that shows definitions to a caller asks here.

A caller with a scope sees the flags that have to do with its subtree, and no others: the flags that somebody has set on
an organization of the subtree or above it, and their prerequisites, which decide too. For all other flags the caller
gets the same answers as for flags that do not exist. Evaluations do not ask here: a role that may evaluate any flag may
evaluate it by its name. Setting a flag does not ask here either: so a flag comes to a subtree for the first time.
"""

from __future__ import annotations

from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from flags.definitions.models import Flag, check_flag_key
from flags.definitions.refusals import unknown_flag
from orgs.access.caller import Caller
from orgs.tree.subtrees import is_at_or_below

# A flag that was set above the subtree has a flag state on the top organization. A flag that was set inside has a
# change there; so has a flag whose value a moved organization has kept (`flags.states.inheritance`).
IDS = f"""
WITH RECURSIVE visible (id) AS (
    SELECT flag_id FROM (
        SELECT flag_id FROM flags_flagstate WHERE organization_id = %s
         UNION
        SELECT change.flag_id
          FROM orgs_organization top
          JOIN orgs_organization below ON {is_at_or_below("below", "top")}
          JOIN flags_change change ON change.organization_id = below.id
         WHERE top.id = %s) own
     UNION
    SELECT needed.to_flag_id FROM visible JOIN flags_flag_prerequisites needed ON needed.from_flag_id = visible.id)
SELECT id FROM visible
"""  # noqa: S608 - no input in it


def visible_flags(caller: Caller) -> QuerySet[Flag]:
    """Return the flags that the caller may see, for one query whatever the number of flags and organizations."""
    flags: QuerySet[Flag] = Flag.objects.all()
    if caller.organization_id is None:
        return flags
    return flags.filter(pk__in=RawSQL(IDS, [caller.organization_id] * 2))  # noqa: S611 - no input in it


def is_visible(caller: Caller, flag_id: int) -> bool:
    """Return whether the caller may see the flag with this id."""
    return caller.organization_id is None or visible_flags(caller).filter(pk=flag_id).exists()


def find_visible_flag(caller: Caller, key: str) -> Flag:
    """Return the flag with this key if the caller may see it. Raises InvalidFlagKey, FlagNotFound."""
    check_flag_key(key)
    flag = visible_flags(caller).filter(key=key).first()
    if flag is None:
        raise unknown_flag(key, known_to=caller.organization_id)
    return flag
