"""PostgreSQL itself tells of every change to the tree and to the access keys, whoever made it."""

from typing import ClassVar

from django.db import migrations

TELL = """
CREATE FUNCTION flagsite_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('flagsite_changes', json_build_object(TG_ARGV[0], 1)::text);
    RETURN NULL;
END $$;
CREATE FUNCTION flagsite_tell_organization() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('flagsite_changes', json_build_object('organization', NEW.id)::text);
    RETURN NULL;
END $$;
CREATE TRIGGER organization_moved AFTER UPDATE OF parent_id, key ON orgs_organization
   FOR EACH ROW WHEN (OLD.parent_id IS DISTINCT FROM NEW.parent_id OR OLD.key IS DISTINCT FROM NEW.key)
   EXECUTE FUNCTION flagsite_tell_organization();
CREATE TRIGGER organizations_gone AFTER DELETE OR TRUNCATE ON orgs_organization
   FOR EACH STATEMENT EXECUTE FUNCTION flagsite_tell('tree');
CREATE TRIGGER keys_changed AFTER UPDATE OR DELETE OR TRUNCATE ON orgs_accesskey
   FOR EACH STATEMENT EXECUTE FUNCTION flagsite_tell('keys');
"""
SILENCE = """
DROP TRIGGER keys_changed ON orgs_accesskey;
DROP TRIGGER organizations_gone ON orgs_organization;
DROP TRIGGER organization_moved ON orgs_organization;
DROP FUNCTION flagsite_tell_organization();
DROP FUNCTION flagsite_tell();
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("orgs", "0005_history_indexes")]
    operations: ClassVar = [migrations.RunSQL(TELL, SILENCE)]
