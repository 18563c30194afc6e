"""Tell when a flag becomes stale, once for each time."""

from __future__ import annotations

from django.db import connection, transaction

from flags.definitions.models import Flag
from flags.events import FLAG_STALE
from flags.insights.models import StaleFlagNotice
from flags.insights.staleness import with_staleness
from jobs.notifications.events import notify

LOCK = "SELECT pg_advisory_xact_lock(hashtext('flags.tell_stale'))"


def tell_stale() -> int:
    """Tell the flags that have become stale since the last call. Returns their number."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(LOCK)
        stale = {flag.pk: flag for flag in with_staleness(Flag.objects.all()).filter(is_stale=True).order_by("key")}
        StaleFlagNotice.objects.exclude(flag_id__in=stale).delete()
        known = set(StaleFlagNotice.objects.values_list("flag_id", flat=True))
        new = [flag for pk, flag in stale.items() if pk not in known]
        for flag in new:
            causes = [cause for cause in ("unused", "settled", "expired") if getattr(flag, f"is_{cause}")]
            notify(
                FLAG_STALE, f"The flag {flag.key} is stale ({', '.join(causes)}). Remove it from the code.",
                subject=f"flag:{flag.key}", page=("admin:flags_flag_change", flag.pk), flag=flag.key, causes=causes,
            )  # fmt: skip
        StaleFlagNotice.objects.bulk_create(StaleFlagNotice(flag_id=flag.pk) for flag in new)
    return len(new)
