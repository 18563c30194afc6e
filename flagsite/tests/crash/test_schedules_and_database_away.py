"""Scheduled changes while PostgreSQL is killed and comes back, with two workers that tick."""

from __future__ import annotations

import pytest

from flagsite.tests.crash.installation import Installation, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
TICKS = """
import time
from django.db import DatabaseError, InterfaceError, connection
from flags.schedules.due import apply_due
while True:
    try:
        apply_due()
    except (DatabaseError, InterfaceError):
        connection.close()
    time.sleep(0.05)
"""
PLAN = """
INSERT INTO flags_flagschedule (flag_id, flag_key, organization_id, wanted, scheduled_at, status, attempts, retry_count,
       max_retries, last_error, cron, time_zone, created_by, author_gone, reason, correlation_id)
SELECT (SELECT id FROM flags_flag WHERE key = 'checkout'), 'checkout', %s + number %% 10,
       jsonb_build_object('enabled', number %% 20 < 10), now() - interval '1 hour' + number * interval '1 second',
       'pending', 0, 0, 3, '', '', '', 'x', '', '', ''
  FROM generate_series(1, 200) number
"""


def test_each_is_applied_once_and_in_order_though_the_database_is_killed_in_the_middle(
    installation: Installation,
) -> None:
    root = installation.plant_tree(1, 20)
    installation.set_flag(root, "checkout", False)
    installation.slow_down(0.03)
    first_leaf = installation.branch(0, 20) + 1
    installation.sql(PLAN, [first_leaf])
    for _ in range(2):
        installation.run("python", "manage.py", "shell", "--no-imports", "-c", TICKS)
    counted = "SELECT count(*) FROM flags_flagschedule WHERE status = 'applied'"
    eventually(lambda: 20 < installation.sql(counted)[0][0] < 150, within=60)
    installation.postgres.kill()
    installation.postgres.start()
    # what was in work when it broke waits for its retry; let its time come, and again for what follows it
    later = "UPDATE flags_flagschedule SET next_retry_at = now() WHERE status = 'failed'"
    eventually(lambda: (installation.sql(later), installation.sql(counted) == [(200,)])[1], within=90)
    assert installation.sql("SELECT count(*), count(DISTINCT change_number) FROM flags_flagschedule") == [(200, 200)]
    assert installation.sql("SELECT count(*) FROM flags_change WHERE organization_id >= %s", [first_leaf]) == [(200,)]
    out_of_order = """
        SELECT count(*) FROM flags_flagschedule earlier JOIN flags_flagschedule later USING (flag_id, organization_id)
         WHERE earlier.scheduled_at < later.scheduled_at AND earlier.change_number > later.change_number
    """
    assert installation.sql(out_of_order) == [(0,)]
