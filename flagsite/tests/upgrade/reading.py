"""What clients of an installation read. `manage.py shell` runs it, as the test has only the test's own database."""

from __future__ import annotations

import io
import json

from django.core.management import call_command

from flags.tests.serving.asking import Asking
from orgs.tree.models import Organization

Answers = dict[str, dict[str, list[object]]]


def reads(every: int) -> Answers:
    """Evaluate all flags for every so many organizations; returns value, reason and variant of each flag."""
    printed = io.StringIO()
    call_command("create_key", "reads", "--role", "admin", "--json", stdout=printed)
    asking = Asking(json.loads(printed.getvalue())["key"])
    found = {}
    for organization in Organization.objects.order_by("pk")[::every]:
        answer = asking.all(targetingKey="somebody", organizationId=organization.pk)
        assert answer.status == 200, answer
        found[organization.key] = {
            flag["key"]: [flag.get("value"), flag.get("reason"), flag.get("variant")] for flag in answer.body["flags"]
        }
    return found
