"""The e-mail that tells of a report: its key figures, and where its files are."""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings

from flags.reports.figures import Figures, Heading, in_words
from flagsite.core.site_address import page_address
from flagsite.core.words import counted
from jobs.engine.models import Job
from jobs.errors import InvalidJobArguments, InvalidSubscription
from jobs.notifications import deliveries
from jobs.notifications.channels import email
from jobs.notifications.models import Channel

MOST_ADDRESSES = 20


def check_addresses(addresses: Sequence[str]) -> None:
    """Check the addresses. Raises InvalidJobArguments."""
    for number, address in enumerate(addresses):
        try:
            email.checked(address)
        except InvalidSubscription as error:
            raise InvalidJobArguments({f"arguments.mailTo.{number}": error.detail}) from None


def send(job: Job, heading: Heading, figures: Figures, names: Sequence[str]) -> None:
    """Create a delivery for each address of the job, in the caller's transaction."""
    for address in dict.fromkeys(job.arguments.get("mailTo", ())):
        deliveries.create(
            channel=Channel.EMAIL,
            target=address,
            subject=f"{heading.title}, {heading.period}",
            text=_text(job, heading, figures, names),
            organization_id=job.organization_id,
            by=job.requested_by,
        )


def _text(job: Job, heading: Heading, figures: Figures, names: Sequence[str]) -> str:
    lines = [f"{heading.title}, {heading.period} (UTC), {heading.organization}", ""]
    lines += [f"{figure.title}: {in_words(figure.value, figure.type)}" for figure in figures.key_figures]
    lines += ["", *figures.notes, *([""] if figures.notes else [])]
    lines.append(f"Flagsite keeps the files for {counted(settings.ARTIFACTS_KEEP_DAYS, 'day')}:")
    lines += [page_address("artifact", job.root_id, name) for name in names]
    lines.append(f"In the admin site: {page_address('admin:flags_report_change', job.root_id)}")
    return "\n".join(lines)
