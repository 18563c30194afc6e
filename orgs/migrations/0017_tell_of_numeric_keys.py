"""PostgreSQL tells of an organization whose id has become the key of a new one: its id alone does not name it now."""

from typing import ClassVar

from django.db import migrations

# A number of 19 digits may be too large for an id, and no id becomes so large. The query is planned anew each time, as
# in flagsite_tell_gone.
TELL = """
CREATE FUNCTION flagsite_tell_numeric_keys() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    named bigint[];
BEGIN
    EXECUTE 'SELECT array_agg(id) FROM (
        SELECT organization.id FROM orgs_organization organization JOIN placed
            ON organization.id = CASE WHEN placed.key ~ ''^[1-9][0-9]{0,17}$'' THEN placed.key::bigint END
         WHERE organization.id <> placed.id LIMIT 101) named'
       INTO named;
    IF cardinality(named) > 100 THEN
        PERFORM pg_notify('flagsite_changes', '{"tree" : 1}');
    ELSE
        PERFORM pg_notify('flagsite_changes', json_build_object('organization', id)::text) FROM unnest(named) id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER organizations_placed AFTER INSERT ON orgs_organization REFERENCING NEW TABLE AS placed
   FOR EACH STATEMENT EXECUTE FUNCTION flagsite_tell_numeric_keys();
"""
TELL_NOT = """
DROP TRIGGER organizations_placed ON orgs_organization;
DROP FUNCTION flagsite_tell_numeric_keys();
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("orgs", "0016_groups_let_people_in")]
    operations: ClassVar = [migrations.RunSQL(TELL, TELL_NOT)]
