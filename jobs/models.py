"""All models of the app in the module where Django looks for them."""

from jobs.artifacts.models import Artifact
from jobs.batches.models import Batch
from jobs.counting.models import EngineCounter, HourlyMetrics
from jobs.engine.models import Job, JobFailure, Queue
from jobs.engine.worker_model import Worker
from jobs.imports.models import ImportFile, ImportFilePart, ImportLine, OrganizationImport
from jobs.metrics.models import Probe
from jobs.notifications.models import Delivery, Event, Subscription
from jobs.operations.models import BulkTarget

__all__ = [
    "Artifact",
    "Batch",
    "BulkTarget",
    "Delivery",
    "EngineCounter",
    "Event",
    "HourlyMetrics",
    "ImportFile",
    "ImportFilePart",
    "ImportLine",
    "Job",
    "JobFailure",
    "OrganizationImport",
    "Probe",
    "Queue",
    "Subscription",
    "Worker",
]
