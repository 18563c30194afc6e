"""The nested set gets gaps, and each organization counts its descendants.

Dense numbers times a constant are numbers with gaps. So one ALTER TABLE writes all rows anew, in some seconds for a
million. Meanwhile, nobody can read the table. Evaluations from memory go on. The migration waits for the table for two
seconds at most, because all later readers wait behind it. If it does not get the table, it waits and tries again.

Stop all web processes and workers of the release before: they compute sizes from `lft` and `rght`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar

from django.core.management.base import CommandError
from django.db import OperationalError, migrations, models, transaction

from flagsite.core.db.transient_errors import is_wait_for_lock

ATTEMPTS = 60
SECONDS_BETWEEN_ATTEMPTS = 2.0
TAKE_LOCKS = """
SET LOCAL lock_timeout = '2s';
SELECT pg_advisory_xact_lock(7260142);  -- orgs.tree.locks.TREE_LOCK
LOCK TABLE orgs_organization IN ACCESS EXCLUSIVE MODE;
SET LOCAL lock_timeout TO DEFAULT;
"""
# A column that a trigger names cannot change its type, so the trigger is made again.
DROP_TRIGGER = "DROP TRIGGER orgs_require_tree_lock ON orgs_organization;"
CREATE_TRIGGER = """
CREATE TRIGGER orgs_require_tree_lock
    BEFORE INSERT OR DELETE OR UPDATE OF {columns} ON orgs_organization
    FOR EACH STATEMENT EXECUTE FUNCTION orgs_require_tree_lock();
"""
OPEN_GAPS = f"""
{DROP_TRIGGER}
DO $$
DECLARE
    name text;  -- of the index of `tree_id` alone: the index of tree_id and lft does the same
BEGIN
    SELECT indexrelid::regclass::text INTO name FROM pg_index
     WHERE indrelid = 'orgs_organization'::regclass AND indnatts = 1 AND NOT indisunique
       AND indkey[0] = (SELECT attnum FROM pg_attribute
                         WHERE attrelid = 'orgs_organization'::regclass AND attname = 'tree_id');
    EXECUTE 'DROP INDEX ' || name;
END $$;
ALTER TABLE orgs_organization ADD COLUMN descendant_count integer CHECK (descendant_count >= 0);
ALTER TABLE orgs_organization
    ALTER COLUMN lft TYPE bigint USING lft::bigint << 31,
    ALTER COLUMN rght TYPE bigint USING rght::bigint << 31,
    ALTER COLUMN descendant_count TYPE integer USING GREATEST(0, (rght - lft - 1) / 2),
    ALTER COLUMN descendant_count SET NOT NULL;
{CREATE_TRIGGER.format(columns="parent_id, tree_id, lft, rght, level, descendant_count")}
"""  # noqa: S608 - no input in it
CLOSE_GAPS = f"""
UPDATE orgs_organization organization
   SET lft = 2 * dense.index - organization.level - 1, rght = 2 * (dense.index + descendant_count) - organization.level
  FROM (SELECT id, row_number() OVER (PARTITION BY tree_id ORDER BY lft) AS index FROM orgs_organization) dense
 WHERE organization.id = dense.id;
{DROP_TRIGGER}
ALTER TABLE orgs_organization
    ALTER COLUMN lft TYPE integer, ALTER COLUMN rght TYPE integer, DROP COLUMN descendant_count;
CREATE INDEX orgs_organization_tree_id_alone ON orgs_organization (tree_id);
{CREATE_TRIGGER.format(columns="parent_id, tree_id, lft, rght, level")}
"""  # noqa: S608 - no input in it


def in_one_transaction(statements: str) -> Callable[[Any, Any], None]:
    """Return an operation that takes the locks, with some attempts, and then executes the statements."""

    def operate(apps: Any, schema_editor: Any) -> None:
        for _ in range(ATTEMPTS):
            try:
                with transaction.atomic(), schema_editor.connection.cursor() as cursor:
                    cursor.execute(TAKE_LOCKS)
                    cursor.execute(statements)
                return
            except OperationalError as error:
                if not is_wait_for_lock(error):
                    raise
            time.sleep(SECONDS_BETWEEN_ATTEMPTS)
        raise CommandError(
            "Other transactions use the table of the organizations all the time. Stop the web processes and the workers,"
            " then migrate again."
        )

    return operate


class Migration(migrations.Migration):
    atomic = False  # each attempt is a transaction of its own
    dependencies: ClassVar = [("orgs", "0018_refuse_invisible_characters_in_keys")]
    operations: ClassVar = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunPython(in_one_transaction(OPEN_GAPS), in_one_transaction(CLOSE_GAPS)),
            ],
            state_operations=[
                migrations.AddField(
                    "organization", "descendant_count", models.PositiveIntegerField(editable=False, default=0),
                    preserve_default=False,
                ),
                migrations.AlterField("organization", "lft", models.PositiveBigIntegerField(editable=False)),
                migrations.AlterField("organization", "rght", models.PositiveBigIntegerField(editable=False)),
                migrations.AlterField("organization", "tree_id", models.PositiveIntegerField(editable=False)),
            ],
        )
    ]  # fmt: skip
