"""PostgreSQL itself tells of every change to a flag's definition, whoever made it."""

from typing import ClassVar

from django.db import migrations

TELL = """
CREATE TRIGGER definitions_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON flags_flag
   FOR EACH STATEMENT EXECUTE FUNCTION flagsite_tell('definitions');
CREATE TRIGGER prerequisites_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON flags_flag_prerequisites
   FOR EACH STATEMENT EXECUTE FUNCTION flagsite_tell('definitions');
"""
SILENCE = """
DROP TRIGGER prerequisites_changed ON flags_flag_prerequisites;
DROP TRIGGER definitions_changed ON flags_flag;
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("flags", "0004_definitions"), ("orgs", "0006_tell_of_changes")]
    operations: ClassVar = [migrations.RunSQL(TELL, SILENCE)]
