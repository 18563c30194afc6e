"""All models of the app in the module where Django looks for them."""

from jobs.counting.models import EngineCounter, HourlyMetrics
from jobs.engine.models import Job, JobFailure, Queue, Worker
from jobs.metrics.models import Probe
from jobs.operations.models import BulkTarget

__all__ = ["BulkTarget", "EngineCounter", "HourlyMetrics", "Job", "JobFailure", "Probe", "Queue", "Worker"]
