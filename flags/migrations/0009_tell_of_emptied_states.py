"""PostgreSQL itself tells when all flag states are deleted at once, as somebody does by hand."""

from typing import ClassVar

from django.db import migrations

# Once for the whole TRUNCATE, so what writes or deletes rows pays nothing for it.
TELL = """
CREATE TRIGGER states_emptied AFTER TRUNCATE ON flags_flagstate
   FOR EACH STATEMENT EXECUTE FUNCTION flagsite_tell('tree');
"""
SILENCE = "DROP TRIGGER states_emptied ON flags_flagstate;"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("flags", "0008_schedules"), ("orgs", "0006_tell_of_changes")]
    operations: ClassVar = [migrations.RunSQL(TELL, SILENCE)]
