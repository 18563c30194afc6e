"""Nobody empties the history either: a trigger for each row does not see a TRUNCATE."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

NOT_EMPTIED = """
CREATE TRIGGER orgs_history_is_not_emptied BEFORE TRUNCATE ON orgs_historyentry
    FOR EACH STATEMENT EXECUTE FUNCTION orgs_history_is_append_only();
"""
FORGET = "DROP TRIGGER orgs_history_is_not_emptied ON orgs_historyentry;"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("orgs", "0006_tell_of_changes")]
    operations: ClassVar = [migrations.RunSQL(NOT_EMPTIED, FORGET)]
