"""The pages of the admin site about jobs; each module registers its own."""

from jobs.admin import jobs, queues, workers  # noqa: F401
