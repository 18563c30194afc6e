"""An organization that people are bound to is not deleted; the database has refused it all along."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orgs", "0007_history_is_not_emptied")]

    operations = [
        migrations.AlterField(
            model_name="staffscope",
            name="organization",
            field=models.ForeignKey(
                help_text="They see it and what is below it.",
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="orgs.organization",
            ),
        ),
    ]
