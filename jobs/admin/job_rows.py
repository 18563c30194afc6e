"""The rows of the admin site's list of jobs: read for all rows together, and rendered as self-updating cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from jobs.engine.chains import Chain, Standing, tracked
from jobs.engine.kinds import find_kind
from jobs.engine.models import Job, Queue
from jobs.engine.states import FINAL, Status
from jobs.operations import cleanup, job_operations
from jobs.templatetags.job_formats import duration
from orgs.access.caller import Caller
from orgs.access.operator_admin import one_click_button
from orgs.tree.paths import path_names_of

LIVE_CELLS = ("status", "progress", "took", "attempt", "buttons")
"""The cells that update themselves."""


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job with its organization's path, the pause of its queue, its chain, and how its work stands.

    `path` is None if the job has no organization, or if the organization is deleted. `paused_by` is empty if the queue
    is not paused.
    """

    job: Job
    path: list[str] | None
    paused_by: str
    chain: Chain
    standing: Standing
    may_operate: bool

    @property
    def can_be_retried(self) -> bool:
        """Whether a person may start another round of attempts."""
        return self.chain.can_retry

    @property
    def is_latest(self) -> bool:
        """Whether this attempt is the latest of its chain, from which a retry continues."""
        return self.job.pk == self.chain.latest_job_id

    @property
    def attempt_differs(self) -> bool:
        """Whether this attempt ended in another way than the work of its chain: a retry healed it, for example."""
        return bool(self.job.ended_as) and self.job.status in FINAL and self.job.ended_as != self.job.status

    @property
    def can_be_cancelled(self) -> bool:
        """Whether this attempt is open, or waits for a later attempt that is open."""
        return job_operations.can_be_cancelled(self.job, self.chain.latest)

    @property
    def is_open(self) -> bool:
        """Whether the cells can still change, because this attempt or the latest of its chain is open."""
        return self.job.is_open or self.chain.latest.is_open

    @property
    def percent_done(self) -> int:
        """The percentage of the organizations that are done."""
        total = self.standing.total or 0
        return min(100, (self.standing.processed + self.standing.failed) * 100 // total) if total else 0

    def cell(self, name: str, *, is_update: bool = False) -> SafeString:
        """The HTML of one of the LIVE_CELLS, or of the `links` on the job's page.

        `is_update` marks the cell as the replacement of the cell on the page.
        """
        attributes = mark_safe(' hx-swap-oob="true"') if is_update else mark_safe("")
        if name == "status" and self.is_open:
            attributes += format_html(' data-open="{}"', self.job.pk)
        inside = getattr(self, f"_{name}")()
        return format_html('<span id="job-{}-{}" class="fs-cell"{}>{}</span>', self.job.pk, name, attributes, inside)

    def _status(self) -> SafeString:
        badge = format_html('<span class="fs-status fs-status-{}">{}</span>', self.job.status, self.job.status)
        if self.job.status == Status.PENDING and self.paused_by:
            return format_html('{} <span class="fs-status fs-status-PAUSED">queue paused</span>', badge)
        if self.job.status == Status.IN_PROGRESS and self.job.cancel_requested_at:
            return format_html('{} <span class="fs-status">stopping</span>', badge)
        if self.attempt_differs:
            return format_html('{} <span class="fs-note">this attempt {}</span>', badge, self.job.attempt_status)
        return badge

    def _progress(self) -> SafeString:
        job, now = self.job, self.standing
        done = f"{now.processed:,} of {now.total:,}" if now.total else f"{now.processed:,} so far"
        if not now.total and not now.processed + now.failed:
            return format_html('<span class="fs-note">{}</span>', self._uncounted())
        failed = format_html(', <span class="fs-bad">{} failed</span>', f"{now.failed:,}") if now.failed else ""
        return format_html(
            '<progress class="fs-progress" value="{}" max="100" aria-label="Progress of job {}"></progress>'
            '<span class="fs-note">{}{}</span>',
            self.percent_done, job.pk, done, failed,
        )  # fmt: skip

    def _uncounted(self) -> str:
        """Words for the progress of a job that has counted nothing, such as a report, or that had nothing to count."""
        if self.job.is_open:
            return "not counted yet"
        if self.job.status != Status.COMPLETED:
            return "nothing done"
        return "nothing to do" if writes_states(self.job) or self.job.kind == cleanup.KIND else "done"

    def _took(self) -> str:
        return duration(self.job.duration)

    def _attempt(self) -> str:
        job = self.job
        return f"{job.round_attempt + 1} of {job.max_retries + 1}" + (" (retry)" if job.parent_job_id else "")

    def _buttons(self) -> SafeString | str:
        """The operations in a row of the list. Retry does it at once; the page of a job asks for the reason first."""
        if not self.may_operate:
            return ""
        retry = one_click_button("retry", "Retry", f"job {self.job.pk}", self._address("retry"))
        buttons = ([retry] if self.can_be_retried else []) + ([self._link("cancel")] if self.can_be_cancelled else [])
        return format_html_join(" ", "{}", ((button,) for button in buttons))

    def _links(self) -> SafeString | str:
        if not self.may_operate:
            return ""
        possible = {"retry": self.can_be_retried, "cancel": self.can_be_cancelled}
        return format_html_join(
            " ", "{}", ((self._link(name),) for name, can_be_done in possible.items() if can_be_done)
        )

    def _link(self, operation: str) -> SafeString:
        """A link to the page that asks for the reason of the operation."""
        link = '<a id="{}-{}" class="fs-button" href="{}">{}<span class="fs-unseen"> job {}</span></a>'
        number = self.job.pk
        return format_html(link, operation, number, self._address(operation), operation.title(), number)

    def _address(self, operation: str) -> str:
        return reverse("admin:jobs_job_act", args=[self.job.pk, operation])


def writes_states(job: Job) -> bool:
    """Whether the job counts flag states: a propagation, a placement or a purge."""
    kind = find_kind(job.kind)
    is_enqueued = kind is not None and kind.arguments is not None
    return not is_enqueued and bool({"featureFlagName", "placement"} & set(job.arguments))


def rows_of(jobs: Sequence[Job], caller: Caller, *, may_operate: bool) -> dict[int, JobRow]:
    """The rows of the jobs by the jobs' ids. The function makes three queries, however many jobs there are."""
    organization_ids = [job.organization_id for job in jobs if job.organization_id is not None]
    paths = path_names_of(organization_ids, top_id=caller.organization_id)
    paused = dict(Queue.objects.exclude(paused_at=None).values_list("name", "paused_by"))
    return {
        (job := one.job).pk: JobRow(
            job, paths.get(job.organization_id or 0), paused.get(job.queue, ""), one.chain, one.standing, may_operate
        )
        for one in tracked(jobs)
    }
