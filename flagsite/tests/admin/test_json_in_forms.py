"""JSON that people type into pages: what cannot be read is told beside the field."""

from __future__ import annotations

import pytest

from flags.definitions.models import Flag
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
BAD = {"too deep": "[" * 900 + "]" * 900, "far too deep": "[" * 50_000, "too long a number": "9" * 5_000}
PAGES = {
    "enqueue": ("/admin/jobs/job/enqueue/?kind=notification", "arguments-recipients"),
    "batch": ("/admin/jobs/batch/add/", "members"),
    "periodic task": ("/admin/django_celery_beat/periodictask/add/", "kwargs"),
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
@pytest.mark.parametrize(("address", "field"), PAGES.values(), ids=PAGES)
def test_json_that_cannot_be_read_is_an_error_of_its_field(address: str, field: str, text: str) -> None:
    answer = signed_in("admin").post(address, {field: text})
    assert answer.status_code == 200
    assert "valid JSON" in shown(answer)


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_json_of_a_flag_that_cannot_be_read_is_an_error_of_its_field(text: str) -> None:
    flag = Flag.objects.create(key="new-basket")
    answer = signed_in("admin").post(f"/admin/flags/flag/{flag.pk}/change/", {"environments": text})
    assert answer.status_code == 200
    flag.refresh_from_db()
    assert flag.environments == {}
