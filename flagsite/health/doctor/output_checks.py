"""Checks of what Flagsite makes: the messages that leave it, and the files of artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
from django.conf import settings
from django.db.models import Count

from flagsite.core.words import counted
from flagsite.health.doctor.check_result import CheckResult, ok, problem, warning
from jobs.engine import worker_registry
from jobs.notifications import figures
from jobs.notifications.channels.all_channels import WAYS
from jobs.notifications.models import Channel, DeliveryState, Subscription

SHARE_OF_FAILURES = 0.1
"""If more of the deliveries of a channel fail within a day, it is a warning."""
NETWORK_FILE_SYSTEMS = (
    "9p", "afs", "beegfs", "ceph", "cifs", "fuse", "gluster", "gpfs", "lustre", "nfs", "smb", "virtio",
)  # fmt: skip
"""How the types of file systems begin that several machines can share."""
SEE_DELIVERIES = "bin/manage deliveries --status {status} lists them, and the page Deliveries of the admin site."
SHARE_FILES = "Set ARTIFACTS_URL to a folder that all machines share, or to a bucket (docs/artifacts.md)."


def check_notifications() -> CheckResult:
    """Check that messages leave: that the channels in use have settings, and that receivers accept the messages."""
    counts = figures.counts_of_a_day()
    set_ones = [channel for channel, way in WAYS.items() if way.is_set()]
    if settings.PRODUCTION:
        result = _unset_channels(counts) or (_missing_address() if set_ones else None)
        if result is not None:
            return result
    result = _failures(counts)
    if result is not None:
        return result
    sent = sum(row["sent"] for row in counts.values())
    channels = ", ".join(set_ones) if set_ones else "none, so that each message stays in the outbox"
    return ok(f"Channels with settings: {channels}. Deliveries accepted within a day: {sent:,}.")


def _unset_channels(counts: Mapping[str, Mapping[str, int]]) -> CheckResult | None:
    """A warning if messages stay in the outbox, or if somebody waits for messages of a channel without settings."""
    active = Subscription.objects.filter(ended_because="").values("channel").order_by("channel")
    named, missing = [], set()
    for row in active.annotate(number=Count("pk")):
        way = WAYS[Channel(row["channel"])]
        if not way.is_set():
            named.append(f"{counted(row['number'], 'subscription')} by {row['channel']}")
            missing.add(way.setting)
    for channel, count in counts.items():
        if count["outbox"]:
            named.append(f"{counted(count['outbox'], 'delivery', 'deliveries')} by {channel} within a day")
            missing |= set() if (way := WAYS[Channel(channel)]).is_set() else {way.setting}
    if not named:
        return None
    advice = f"Set {' and '.join(sorted(missing))} (docs/notifications.md). Then run" if missing else "Run"
    return warning(
        f"Messages stay in the outbox: {', '.join(named)}.", f"{advice} bin/manage replay_delivery --status OUTBOX."
    )


def _missing_address() -> CheckResult | None:
    if settings.SITE_URL:
        return None
    return warning(
        "SITE_URL is not set, so messages name pages by their path only, and nobody can click on them.",
        "Set SITE_URL to the address of this site, such as https://flags.example.com.",
    )


def _failures(counts: Mapping[str, Mapping[str, int]]) -> CheckResult | None:
    """A warning for the channel of which the most deliveries failed within a day, or are tried again now."""
    bad = {
        channel: row
        for channel, row in counts.items()
        if row["failed"] + row["retried"] > SHARE_OF_FAILURES * (row["sent"] + row["failed"] + row["retried"])
    }
    if not bad:
        return None
    channel, row = max(bad.items(), key=lambda item: item[1]["failed"] + item[1]["retried"])
    status = DeliveryState.FAILED if row["failed"] else DeliveryState.PENDING
    why = figures.latest_error(channel)
    return warning(
        f"Deliveries by {channel} within a day: {row['failed']:,} failed, {row['retried']:,} are tried again, "
        f"{row['sent']:,} accepted. The latest error: {why}",
        SEE_DELIVERIES.format(status=status),
    )


def check_artifacts() -> CheckResult:
    """Check that the machines of all workers can read the files of artifacts."""
    storage: Any = settings.STORAGES["artifacts"]
    location = storage["OPTIONS"].get("location")
    if location is None:
        return ok(f"The files of artifacts are in the bucket {storage['OPTIONS']['bucket']}.")
    hosts = sorted(set(worker_registry.alive().values_list("host", flat=True)))
    kind = _file_system_of(Path(location))
    if len(hosts) > 1 and not kind.startswith(NETWORK_FILE_SYSTEMS):
        named = ", ".join(hosts[:3]) + (", …" if hosts[3:] else "")
        return problem(
            f"Workers run on {len(hosts)} machines ({named}), but the files of artifacts are in {location} on a disk "
            f"of this machine ({kind or 'of an unknown type'}). A file that one machine writes does not exist on the "
            "others.",
            SHARE_FILES,
        )
    machines = "No worker is alive" if not hosts else f"Workers run on {counted(len(hosts), 'machine')}"
    return ok(f"The files of artifacts are in {location}. {machines}.")


def _file_system_of(folder: Path) -> str:
    """The type of the file system that has the folder, such as ext4; empty if it is not known."""
    path = folder.resolve()
    mounts = {Path(each.mountpoint): each.fstype for each in psutil.disk_partitions(all=True)}
    return next((mounts[parent] for parent in (path, *path.parents) if parent in mounts), "")
