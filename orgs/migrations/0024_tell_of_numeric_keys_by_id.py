"""The trigger that tells of numeric keys finds the organizations of these ids by id, whatever the statistics say."""

from typing import ClassVar

from django.db import migrations

# The statistics may be old: after a deletion of a million organizations they may promise a single one where an import
# has created a million since. A join would then read the whole table for each new organization. So each id is looked
# up. The query is planned anew each time, because the table may be almost empty the first time.
TELL = """
CREATE OR REPLACE FUNCTION flagsite_tell_numeric_keys() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    named bigint[];
BEGIN
    EXECUTE 'SELECT array_agg(id) FROM (
        SELECT organization.id FROM placed, LATERAL (
               SELECT id FROM orgs_organization
                WHERE id = CASE WHEN placed.key ~ ''^[1-9][0-9]{0,17}$'' THEN placed.key::bigint END
               OFFSET 0) organization
         WHERE placed.key ~ ''^[1-9][0-9]{0,17}$'' AND organization.id <> placed.id LIMIT 101) named'
       INTO named;
    IF cardinality(named) > 100 THEN
        PERFORM pg_notify('flagsite_changes', '{"tree" : 1}');
    ELSE
        PERFORM pg_notify('flagsite_changes', json_build_object('organization', id)::text) FROM unnest(named) id;
    END IF;
    RETURN NULL;
END $$;
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("orgs", "0023_times_of_creations")]
    operations: ClassVar = [migrations.RunSQL(TELL, migrations.RunSQL.noop)]
