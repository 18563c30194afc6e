"""The end of settings and exemptions whose time has come. It is a change like any other."""

from __future__ import annotations

import structlog
from django.db import connection

from flags.definitions.models import Flag
from flags.states.exemptions import end_exemption_on
from flags.states.set_flag import find_and_hold, reset_flag_on
from flagsite.core import actor
from flagsite.core.db import transient_errors
from flagsite.core.errors import FlagsiteError

log = structlog.get_logger(__name__)
CHANNEL, ACTOR = "expiry", "system"
REASON = "Its time has come."
MOST_AT_ONCE = 1_000
DUE = """
SELECT organization_id, flag_id, expires_at <= now() FROM flags_flagsetting  -- indexes setting_that_expires and
 WHERE expires_at <= now() OR exempt_until <= now()                          -- exemption_that_expires
 ORDER BY LEAST(expires_at, exempt_until) LIMIT %s
"""


def end_expired() -> int:
    """End the settings and exemptions whose time has come, each in a transaction of its own. Return their number.

    One that cannot end now, because its tree is busy or its flag is archived, ends another time.
    """
    with connection.cursor() as cursor:
        cursor.execute(DUE, [MOST_AT_ONCE])
        due = cursor.fetchall()
    keys = Flag.objects.in_bulk({flag_id for _, flag_id, _ in due})
    ended = 0
    for organization_id, flag_id, is_setting in due:
        flag = keys.get(flag_id)
        if flag is None or flag.archived or flag.purging:
            continue
        try:
            with actor.acting(CHANNEL, actor=ACTOR):
                ended += _end(organization_id, flag.key, is_setting=bool(is_setting))
        except FlagsiteError as error:
            log.warning("setting_not_ended", organizationId=organization_id, flag=flag.key, error=error.detail)
        except Exception as error:
            if not transient_errors.is_transient(error):
                raise
            log.warning("setting_not_ended", organizationId=organization_id, flag=flag.key, error=str(error))
    return ended


def _end(organization_id: int, flag_key: str, *, is_setting: bool) -> bool:
    with find_and_hold(organization_id) as organization:
        if is_setting:
            accepted = reset_flag_on(
                organization, flag_key=flag_key, respects_locks=False, requested_by=ACTOR, reason=REASON
            )
        else:
            accepted = end_exemption_on(organization, flag_key=flag_key, requested_by=ACTOR, reason=REASON)
    return accepted is not None
