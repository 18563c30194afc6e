"""PostgreSQL tells which key has changed and which organization is gone, so that nobody else has to look."""

from typing import ClassVar

from django.db import migrations

# A deleted organization takes along all below it, so only the tops of what is gone are told. The query is planned
# anew each time: a plan for one row would take for ever for a hundred thousand.
TELL = """
CREATE FUNCTION flagsite_tell_gone() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    tops bigint[];
BEGIN
    EXECUTE 'SELECT array_agg(id) FROM (
        SELECT id FROM gone WHERE NOT EXISTS (SELECT FROM gone above WHERE above.id = gone.parent_id) LIMIT 101) top'
       INTO tops;
    IF cardinality(tops) > 100 THEN
        PERFORM pg_notify('flagsite_changes', '{"tree" : 1}');
    ELSE
        PERFORM pg_notify('flagsite_changes', json_build_object('organization', top)::text) FROM unnest(tops) top;
    END IF;
    RETURN NULL;
END $$;
DROP TRIGGER organizations_gone ON orgs_organization;
CREATE TRIGGER organizations_gone AFTER DELETE ON orgs_organization REFERENCING OLD TABLE AS gone
   FOR EACH STATEMENT EXECUTE FUNCTION flagsite_tell_gone();
CREATE TRIGGER organizations_emptied AFTER TRUNCATE ON orgs_organization
   FOR EACH STATEMENT EXECUTE FUNCTION flagsite_tell('tree');

CREATE FUNCTION flagsite_tell_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('flagsite_changes', json_build_object('key', OLD.prefix)::text);
    RETURN NULL;
END $$;
DROP TRIGGER keys_changed ON orgs_accesskey;
CREATE TRIGGER key_changed AFTER UPDATE ON orgs_accesskey
   FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION flagsite_tell_key();
CREATE TRIGGER key_gone AFTER DELETE ON orgs_accesskey
   FOR EACH ROW EXECUTE FUNCTION flagsite_tell_key();
CREATE TRIGGER keys_emptied AFTER TRUNCATE ON orgs_accesskey
   FOR EACH STATEMENT EXECUTE FUNCTION flagsite_tell('keys');
"""
TELL_OF_ALL = """
DROP TRIGGER keys_emptied ON orgs_accesskey;
DROP TRIGGER key_gone ON orgs_accesskey;
DROP TRIGGER key_changed ON orgs_accesskey;
DROP FUNCTION flagsite_tell_key();
DROP TRIGGER organizations_emptied ON orgs_organization;
DROP TRIGGER organizations_gone ON orgs_organization;
DROP FUNCTION flagsite_tell_gone();
CREATE TRIGGER organizations_gone AFTER DELETE OR TRUNCATE ON orgs_organization
   FOR EACH STATEMENT EXECUTE FUNCTION flagsite_tell('tree');
CREATE TRIGGER keys_changed AFTER UPDATE OR DELETE OR TRUNCATE ON orgs_accesskey
   FOR EACH STATEMENT EXECUTE FUNCTION flagsite_tell('keys');
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("orgs", "0008_staff_scope_keeps_its_organization")]
    operations: ClassVar = [migrations.RunSQL(TELL, TELL_OF_ALL)]
