"""Attributes of organizations, and the triggers that tell of their changes."""

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

# Many rows are told by name alone: an organization 0 stands for any. The payload of a notification is short.
TELL = """
CREATE FUNCTION flagsite_tell_attributes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    pairs jsonb[];
    names text[];
BEGIN
    SELECT array_agg(jsonb_build_array(organization_id, name)) INTO pairs
      FROM (SELECT DISTINCT organization_id, name FROM changed LIMIT 101) few;
    IF cardinality(pairs) > 100 THEN
        SELECT array_agg(name) INTO names FROM (SELECT DISTINCT name FROM changed LIMIT 101) few;
        IF cardinality(names) > 100 THEN
            PERFORM pg_notify('flagsite_changes', '{"tree": 1}');
            RETURN NULL;
        END IF;
        SELECT array_agg(jsonb_build_array(0, name)) INTO pairs FROM unnest(names) name;
    END IF;
    PERFORM pg_notify('flagsite_changes', json_build_object('attribute', pair)::text) FROM unnest(pairs) pair;
    RETURN NULL;
END $$;
CREATE TRIGGER attributes_added AFTER INSERT ON orgs_organizationattribute REFERENCING NEW TABLE AS changed
   FOR EACH STATEMENT EXECUTE FUNCTION flagsite_tell_attributes();
CREATE TRIGGER attributes_changed AFTER UPDATE ON orgs_organizationattribute REFERENCING NEW TABLE AS changed
   FOR EACH STATEMENT EXECUTE FUNCTION flagsite_tell_attributes();
CREATE TRIGGER attributes_gone AFTER DELETE ON orgs_organizationattribute REFERENCING OLD TABLE AS changed
   FOR EACH STATEMENT EXECUTE FUNCTION flagsite_tell_attributes();
CREATE TRIGGER attributes_emptied AFTER TRUNCATE ON orgs_organizationattribute
   FOR EACH STATEMENT EXECUTE FUNCTION flagsite_tell('tree');
"""
UNTELL = """
DROP TRIGGER attributes_emptied ON orgs_organizationattribute;
DROP TRIGGER attributes_gone ON orgs_organizationattribute;
DROP TRIGGER attributes_changed ON orgs_organizationattribute;
DROP TRIGGER attributes_added ON orgs_organizationattribute;
DROP FUNCTION flagsite_tell_attributes();
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("orgs", "0024_tell_of_numeric_keys_by_id")]
    operations: ClassVar = [
        migrations.CreateModel(
            name="OrganizationAttribute",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=64)),
                ("value", models.JSONField()),
                (
                    "organization",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="orgs.organization",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("organization", "name"), name="one_attribute_of_a_name"),
                    models.CheckConstraint(
                        condition=models.Q(("name__regex", "^[A-Za-z][A-Za-z0-9_-]*$")), name="attribute_name"
                    ),
                ],
            },
        ),
        migrations.RunSQL(TELL, UNTELL),
    ]
