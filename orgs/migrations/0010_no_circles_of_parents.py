"""No statement makes an organization its own ancestor, whoever sends it."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.management.base import CommandError
from django.db import migrations

UNREACHED = """
LOCK TABLE orgs_organization IN SHARE ROW EXCLUSIVE MODE;  -- nobody closes a circle between this and the triggers
WITH RECURSIVE reached AS (
    SELECT id FROM orgs_organization WHERE parent_id IS NULL
     UNION ALL
    SELECT child.id FROM reached JOIN orgs_organization child ON child.parent_id = reached.id)
SELECT id, parent_id, key FROM orgs_organization organization
 WHERE NOT EXISTS (SELECT FROM reached WHERE reached.id = organization.id) ORDER BY id
"""
WAY_OUT = """
The trigger of this migration refuses circles, but it cannot tell which of these parents is wrong. Take one organization
of each circle out of it, for example

    BEGIN;
    SELECT pg_advisory_xact_lock(7260142);
    UPDATE orgs_organization SET parent_id = NULL WHERE key = {key};
    COMMIT;

then migrate again, run "check_tree --repair", and move the organization to its right place.
"""


def refuse_circles_that_are_there(apps: Any, schema_editor: Any) -> None:
    """Raise CommandError with the keys of every circle of parents."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(UNREACHED)
        cursor.nextset()
        unreached = cursor.fetchall()
    if not unreached:
        return
    parents = {organization: parent for organization, parent, _ in unreached}
    keys = {organization: key for organization, _, key in unreached}
    circles = [[keys[member] for member in circle] for circle in find_circles(parents)]
    lines = [f"Organizations are below themselves: {' below '.join([*circle, circle[0]])}." for circle in circles]
    quoted = "'{}'".format(circles[0][0].replace("'", "''"))
    raise CommandError("\n".join([*lines, WAY_OUT.format(key=quoted)]))


def find_circles(parents: dict[int, int]) -> list[list[int]]:
    """Each circle once: organizations, each below the next one, the last below the first."""
    circles: list[list[int]] = []
    seen: set[int] = set()
    for start in parents:
        path: list[int] = []
        organization = start
        while organization not in seen:
            seen.add(organization)
            path.append(organization)
            organization = parents[organization]
        if organization in path:
            circles.append(path[path.index(organization) :])
    return circles


# Why these triggers together refuse every circle. A changed parent or id is always checked. A new organization is
# checked unless its parent has the lower id, as parents have that were there first: so an import of a million costs
# nothing. That is enough, since a circle has at least one parent with a higher id than its child or the same, and
# since each such organization had a whole path to a root when it was checked. The path stays whole: nobody deletes an
# organization without those below it, and nobody changes its id.
#
# A trigger of its own sees that the tree lock is held, but it may be held by the session, which can let go of it before
# the commit; hence the lock is taken here once more. An older snapshot would hide what others have committed.
REFUSE = """
CREATE FUNCTION orgs_refuse_circle() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    path record;
BEGIN
    IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
        RAISE EXCEPTION 'The organization tree was about to change in an isolation level that hides other changes.'
            USING ERRCODE = 'check_violation', HINT = 'Change the tree in READ COMMITTED.';
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.id <> OLD.id THEN
        RAISE EXCEPTION 'The organization % was about to get another id.', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    PERFORM pg_advisory_xact_lock(7260142);
    WITH RECURSIVE above AS (
        SELECT parent_id, ARRAY[id] AS ids, ARRAY[key::text] AS keys, FALSE AS is_circle
          FROM orgs_organization WHERE id = NEW.id
         UNION ALL
        SELECT parent.parent_id, above.ids || parent.id, above.keys || parent.key::text, parent.id = ANY(above.ids)
          FROM above JOIN orgs_organization parent ON parent.id = above.parent_id
         WHERE NOT above.is_circle)
    SELECT keys, is_circle INTO path FROM above WHERE is_circle OR parent_id IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'The organization % was about to get a parent that does not exist.', NEW.key
            USING ERRCODE = 'foreign_key_violation', HINT = 'Create the parent first, or in the same statement.';
    ELSIF path.is_circle THEN
        RAISE EXCEPTION 'An organization was about to be below itself: %.', array_to_string(path.keys, ' below ')
            USING ERRCODE = 'check_violation', CONSTRAINT = 'orgs_no_circle_of_parents',
                  HINT = 'Give one of them a parent that is not below it.';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER orgs_no_circle_after_insert AFTER INSERT ON orgs_organization
   FOR EACH ROW WHEN (NEW.parent_id >= NEW.id) EXECUTE FUNCTION orgs_refuse_circle();
CREATE TRIGGER orgs_no_circle_after_update AFTER UPDATE OF id, parent_id ON orgs_organization
   FOR EACH ROW WHEN (OLD.id <> NEW.id OR OLD.parent_id IS DISTINCT FROM NEW.parent_id)
   EXECUTE FUNCTION orgs_refuse_circle();

CREATE FUNCTION orgs_refuse_orphans() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    orphan text;
BEGIN
    EXECUTE 'SELECT child.key FROM gone JOIN orgs_organization child ON child.parent_id = gone.id LIMIT 1' INTO orphan;
    IF orphan IS NOT NULL THEN
        RAISE EXCEPTION 'The organization % was about to lose its parent.', orphan
            USING ERRCODE = 'foreign_key_violation', HINT = 'Delete what is below in the same statement.';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER orgs_no_orphans AFTER DELETE ON orgs_organization REFERENCING OLD TABLE AS gone
   FOR EACH STATEMENT EXECUTE FUNCTION orgs_refuse_orphans();
"""
FORGET = """
DROP TRIGGER orgs_no_orphans ON orgs_organization;
DROP FUNCTION orgs_refuse_orphans();
DROP TRIGGER orgs_no_circle_after_update ON orgs_organization;
DROP TRIGGER orgs_no_circle_after_insert ON orgs_organization;
DROP FUNCTION orgs_refuse_circle();
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("orgs", "0009_tell_which")]
    operations: ClassVar = [
        migrations.RunPython(refuse_circles_that_are_there, migrations.RunPython.noop),
        migrations.RunSQL(REFUSE, FORGET),
    ]
