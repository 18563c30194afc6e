"""The end of settings and exemptions whose time has come. It is a change like any other."""

from __future__ import annotations

from typing import Any

import structlog
from django.db import connection

from flags.states.exemptions import end_exemption_on
from flags.states.set_flag import find_and_hold, lock_flag, reset_flag_on
from flagsite.core import actor
from flagsite.core.db import transient_errors
from flagsite.core.errors import FlagsiteError

log = structlog.get_logger(__name__)
CHANNEL, ACTOR = "expiry", "system"
REASON = "Its time has come."
MOST_AT_ONCE = 1_000
# Those of archived flags do not count, so they need not end, and do not keep others from their end.
DUE = """
SELECT organization_id, flag.key FROM flags_flagsetting setting  -- indexes setting_that_expires and
  JOIN flags_flag flag ON flag.id = setting.flag_id              -- exemption_that_expires
 WHERE (expires_at <= now() OR exempt_until <= now()) AND NOT flag.archived AND NOT flag.purging
 ORDER BY LEAST(expires_at, exempt_until) LIMIT %s
"""
IS_DUE = """
SELECT COALESCE(expires_at <= now(), FALSE), COALESCE(exempt_until <= now(), FALSE) FROM flags_flagsetting
 WHERE organization_id = %s AND flag_id = %s
"""


def end_expired() -> int:
    """End the settings and exemptions whose time has come, each in a transaction of its own. Return their number.

    One that cannot end now, for example because its tree is busy, ends another time. An error that is not transient
    is raised after all others have ended.
    """
    with connection.cursor() as cursor:
        cursor.execute(DUE, [MOST_AT_ONCE])
        due = cursor.fetchall()
    ended, failure = 0, None
    for organization_id, flag_key in due:
        try:
            with actor.acting(CHANNEL, actor=ACTOR):
                ended += _end(organization_id, flag_key)
        except FlagsiteError as error:
            log.warning("setting_not_ended", organizationId=organization_id, flag=flag_key, error=error.detail)
        except Exception as error:  # noqa: BLE001 - it is raised after the others have ended
            log.warning("setting_not_ended", organizationId=organization_id, flag=flag_key, error=str(error))
            if not transient_errors.is_transient(error):
                failure = failure or error
    if failure is not None:
        raise failure
    return ended


def _end(organization_id: int, flag_key: str) -> bool:
    """End a setting or an exemption that is still due. Somebody may have set the flag anew since it was found."""
    change: dict[str, Any] = {"flag_key": flag_key, "requested_by": ACTOR, "reason": REASON}
    with find_and_hold(organization_id) as organization:
        found = lock_flag(flag_key, organization)
        with connection.cursor() as cursor:
            cursor.execute(IS_DUE, [organization_id, found.flag.pk if found else None])
            is_setting_due, is_exemption_due = cursor.fetchone() or (False, False)
        if is_setting_due:
            return reset_flag_on(organization, respects_locks=False, **change) is not None
        return is_exemption_due and end_exemption_on(organization, **change) is not None
