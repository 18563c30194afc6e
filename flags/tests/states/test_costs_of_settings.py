"""Reading and ending settings costs as much as there are settings, whatever the statistics of the tables say."""

from __future__ import annotations

import pytest
from django.db import connection

from conftest import Cast
from flags.models import FlagSetting
from flags.states import planning
from flags.states.choices import Choice
from flags.states.set_flag import set_flag
from flags.states.setting_rules import Below
from flags.undoing.undo import find
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.tests.trees import import_rows
from orgs.tree.models import Organization

STORES = 1_000
MANY_SETTINGS = """
INSERT INTO flags_flagsetting (organization_id, flag_id, number, kind, enabled, requested_by, reason)
SELECT id, %s, 1, 'set', TRUE, '', '' FROM orgs_organization WHERE key LIKE 'store-%%';
UPDATE pg_class SET reltuples = 0
 WHERE oid IN ('orgs_organization'::regclass, 'flags_flagsetting'::regclass, 'flags_replacedsetting'::regclass);
"""
ROWS_READ = """
SELECT sum(seq_tup_read + idx_tup_fetch) FROM pg_stat_xact_user_tables
 WHERE relid = ANY(ARRAY['orgs_organization'::regclass, 'flags_replacedsetting'::regclass])
"""


def rows_read() -> int:
    """The rows of organizations and of replaced settings that the transaction has read."""
    with connection.cursor() as cursor:
        cursor.execute(ROWS_READ)
        return int(cursor.fetchone()[0])


@pytest.mark.django_db
def test_rows_are_looked_up_by_their_keys_once_for_each_setting(cast: Cast) -> None:
    import_rows(*(f"store-{number},Store,north" for number in range(STORES)))
    flag = set_flag(organization_id=cast.rival.pk, flag_key="checkout", enabled=True).flag
    with connection.cursor() as cursor:
        cursor.execute(MANY_SETTINGS, [flag.pk])
    acme = Organization.objects.get(pk=cast.acme.pk)
    before = rows_read()
    assert planning.of_set(acme.subtree, Choice(enabled=False).of(flag)).effect.ended == STORES
    assert rows_read() - before < 2 * STORES
    before = rows_read()
    change = {"organization_id": acme.pk, "flag_key": "checkout", "enabled": False, "below": Below.OVERWRITE}
    number = set_flag(**change).change.number
    assert rows_read() - before < 3 * STORES
    before = rows_read()
    assert find(Caller("command:ops@host", Role.ADMIN), number).undo().restored == STORES + 1
    assert rows_read() - before < 8 * STORES
    assert FlagSetting.objects.filter(organization__key__startswith="store-", kind="set").count() == STORES
