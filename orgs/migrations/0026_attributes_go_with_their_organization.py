"""The database deletes the attributes of an organization with it, also for former processes, which know of none."""

from typing import ClassVar

from django.db import migrations

# The name of the constraint ends with a hash, so it is looked up.
REPLACE = """
DO $$
DECLARE
    former text;
BEGIN
    SELECT conname INTO STRICT former FROM pg_constraint
     WHERE conrelid = 'orgs_organizationattribute'::regclass AND contype = 'f';
    EXECUTE format('ALTER TABLE orgs_organizationattribute DROP CONSTRAINT %I', former);
    EXECUTE format('ALTER TABLE orgs_organizationattribute ADD CONSTRAINT %I FOREIGN KEY (organization_id)
                    REFERENCES orgs_organization (id) {action} DEFERRABLE INITIALLY DEFERRED', former);
END $$;
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("orgs", "0025_attributes_of_organizations")]
    operations: ClassVar = [
        migrations.RunSQL(REPLACE.replace("{action}", "ON DELETE CASCADE"), REPLACE.replace("{action}", "")),
    ]
