"""What can go wrong with jobs. Each class's docstring is the message a person reads."""

from __future__ import annotations

from flagsite.core.errors import FlagsiteError


class JobNotFound(FlagsiteError):
    """There is no such job, or it is not yours to see."""


class TransitionRefused(FlagsiteError):
    """The job's status does not allow this."""


class NotRetryable(FlagsiteError):
    """The job cannot be retried now."""


class NotCancellable(FlagsiteError):
    """The job cannot be cancelled any more."""


class JobEnded(FlagsiteError):
    """The job has ended."""


class UnknownQueue(FlagsiteError):
    """There is no such queue."""


class InvalidQueueSettings(FlagsiteError):
    """The queue cannot be set up like this."""


class UnknownKind(FlagsiteError):
    """No code is registered for this kind of job."""


class PermanentFailure(FlagsiteError):
    """The job cannot succeed, however often it is tried."""


class LeaseLost(FlagsiteError):
    """Another worker holds this job now; whatever this one still wants to write is refused."""


class StopRequested(FlagsiteError):
    """The worker is being stopped; the job goes back to its queue."""


class CancelRequested(FlagsiteError):
    """Somebody cancelled the job while it ran."""
