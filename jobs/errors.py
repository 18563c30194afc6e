"""The errors of jobs and queues. The docstring of each class is the message for people."""

from __future__ import annotations

from collections.abc import Mapping

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


class ImportNotFound(FlagsiteError):
    """This job is no import of organizations."""


class ImportNotApplicable(FlagsiteError):
    """Only a dry run that has COMPLETED without problems can be applied. Follow its job, and look at its report."""


class ImportFileGone(FlagsiteError):
    """The file of the import is deleted: it was imported, or it was uploaded more than a day ago. Upload it again."""


class ArtifactNotFound(FlagsiteError):
    """There is no such artifact, it has expired, or it is not yours to see."""


class InvalidArtifactName(FlagsiteError):
    """An artifact cannot have this name."""


class BatchNotFound(FlagsiteError):
    """There is no such batch, or it is not yours to see."""


class BatchEnded(FlagsiteError):
    """The batch has ended."""


class BatchNotRetryable(FlagsiteError):
    """No member of the batch can be retried."""


class InvalidBatch(FlagsiteError):
    """The batch cannot be created like this."""


class UnknownQueue(FlagsiteError):
    """There is no such queue."""


class QueueExists(FlagsiteError):
    """There is a queue with this name already."""


class QueueInUse(FlagsiteError):
    """The queue is in use, so it cannot be deleted."""


class InvalidQueueSettings(FlagsiteError):
    """The queue cannot have these settings."""


class PeriodicTaskNotFound(FlagsiteError):
    """There is no such periodic task. The list of periodic tasks shows their names and ids."""


class ScheduledNotFound(FlagsiteError):
    """There is no such scheduled work. Its ids look like job-17 and task-3."""


class PeriodicTaskNotSent(FlagsiteError):
    """The broker does not accept the task now, so it was not run. Run it again once the broker answers."""


class InvalidPeriodicTask(FlagsiteError):
    """The periodic task is not valid."""


class SubscriptionNotFound(FlagsiteError):
    """There is no such subscription, or it is not yours to see."""


class InvalidSubscription(FlagsiteError):
    """The subscription cannot be like this."""


class TooManySubscriptions(FlagsiteError):
    """The organization, or the person, has as many subscriptions as the installation allows."""


class TooManyUploads(FlagsiteError):
    """The organization has as many uploaded files as the installation keeps."""


class DeliveryNotFound(FlagsiteError):
    """There is no such delivery, or it is not yours to see."""


class DeliveryOpen(FlagsiteError):
    """The delivery is under way, so it cannot be replayed now. Wait until it has ended, or cancel its job."""


class DeliveryFailed(FlagsiteError):
    """An attempt to send a message failed."""


class InvalidJobArguments(FlagsiteError):
    """The arguments of the job do not fit the schema of its kind."""

    def __init__(self, errors: Mapping[str, str] | str | None = None) -> None:
        """`errors` has what is wrong, by the place in the request, such as `arguments.format`; or it is a sentence."""
        self.errors = dict(errors) if isinstance(errors, Mapping) else {}
        sentences = [f"{place}: {message}" for place, message in self.errors.items()]
        super().__init__(errors if isinstance(errors, str) else " ".join(sentences) or None)
        if self.errors:
            self.members = {"errors": [{"field": name, "message": text} for name, text in self.errors.items()]}

    def below(self, place: str) -> InvalidJobArguments:
        """Return the same error for arguments that are a part of a larger request, such as `members.3`."""
        return InvalidJobArguments({f"{place}.{name}": message for name, message in self.errors.items()})


class UnknownKind(FlagsiteError):
    """No code is registered for this kind of job."""


class PermanentFailure(FlagsiteError):
    """The job cannot succeed, and a retry cannot help."""


class NothingLeftToDo(FlagsiteError):
    """The subject of the job is gone, so the work is done."""


class ResultTooLarge(FlagsiteError):
    """The result of the job is too large to be stored with the job."""


class ResultNotStorable(FlagsiteError):
    """The result of the job has NUL, NaN, an infinite number or half a character, which PostgreSQL cannot store."""


class LeaseLost(FlagsiteError):
    """The worker has lost the lease of the job, so all its further writes are refused."""


class StopRequested(FlagsiteError):
    """The worker is stopping, so the job returns to its queue."""


class AttemptTimedOut(FlagsiteError):
    """The attempt has taken too long."""


class CancelRequested(FlagsiteError):
    """A person cancelled the job while it ran."""
