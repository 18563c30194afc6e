"""Django looks for an app's models here; each subject has its own."""

from jobs.engine.models import Job, JobFailure, Queue, Worker
from jobs.metrics.models import Canary, EngineCount, JobTally
from jobs.operations.models import DeedTarget

__all__ = ["Canary", "DeedTarget", "EngineCount", "Job", "JobFailure", "JobTally", "Queue", "Worker"]
