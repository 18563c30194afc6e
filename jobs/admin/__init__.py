"""The admin site's pages for jobs, queues and workers. Each module registers its own pages."""

from jobs.admin import jobs, queues, workers  # noqa: F401
from jobs.artifacts import admin as artifacts  # noqa: F401
from jobs.batches import admin as batches  # noqa: F401
from jobs.imports import admin as imports  # noqa: F401
from jobs.notifications import admin as notifications  # noqa: F401
