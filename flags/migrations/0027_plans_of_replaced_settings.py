"""The trigger that keeps replaced settings joins as many as a change ends, and not row by row."""

from typing import ClassVar

from django.db import migrations

# A function keeps the plan of its first call in a session, and the first change often replaces one setting. A nested
# loop would then compare each of ten thousand ended settings with each other.
SET = "ALTER FUNCTION flags_keep_replaced_settings() SET enable_nestloop = off"
RESET = "ALTER FUNCTION flags_keep_replaced_settings() RESET enable_nestloop"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("flags", "0026_former_placements_and_definitions")]
    operations: ClassVar = [migrations.RunSQL(SET, RESET)]
