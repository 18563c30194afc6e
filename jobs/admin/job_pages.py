"""The pages of the jobs that audit entries name."""

from __future__ import annotations

from collections.abc import Collection

from django.urls import reverse

from flagsite.core.ids import id_in
from jobs.engine.chains import jobs_of
from orgs.access.caller import Caller


def find(numbers: Collection[str], caller: Caller) -> dict[str, str]:
    """Return the addresses of the pages of those jobs that are still there and that the caller may see, by number."""
    ids = [id_ for number in numbers if (id_ := id_in(number))]
    found = jobs_of(caller).filter(pk__in=ids).order_by().values_list("pk", flat=True)
    return {str(pk): reverse("admin:jobs_job_change", args=[pk]) for pk in found}
