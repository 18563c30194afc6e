"""Paths of the jobs."""

from __future__ import annotations

from django.urls import path

from flagsite.core.api import path_converters  # noqa: F401 - registers <id:…>
from jobs.api import enqueue, operations, queue_addresses, queue_stats, queues, views
from jobs.artifacts import api as artifacts
from jobs.batches import api as batches
from jobs.imports import api as imports
from jobs.notifications import api as notifications
from orgs.tree import path_converters as organization_converters  # noqa: F401 - registers <organization:…>

urlpatterns = [
    path("job-status/<id:job_id>", views.JobStatus.as_view(), name="job-status"),
    path("jobs/<organization:organization>", views.JobsOfOrganization.as_view(), name="jobs"),
    path("retry-job/<id:job_id>", views.RetryJob.as_view(), name="retry-job"),
    path("cancel-job/<id:job_id>", views.CancelJob.as_view(), name="cancel-job"),
    path("job-retry-chain/<id:job_id>", views.RetryChain.as_view(), name="job-retry-chain"),
    path("job-failures/<id:job_id>", views.JobFailures.as_view(), name="job-failures"),
    path("v1/queues", queues.Queues.as_view(), name="queues"),
    path("v1/queues/<str:name>", queues.OneQueue.as_view(), name="queue"),
    path("v1/queues/<str:name>/pause", queues.PauseQueue.as_view(), name="pause-queue"),
    path("v1/queues/<str:name>/resume", queues.ResumeQueue.as_view(), name="resume-queue"),
    path("v1/queue/kinds", enqueue.JobKinds.as_view(), name="job-kinds"),
    path("v1/queue/jobs", queue_addresses.QueueJobs.as_view(), name="queue-jobs"),
    path("v1/queue/jobs/<id:job_id>/artifacts", artifacts.ArtifactsOfJob.as_view(), name="artifacts-of-job"),
    path("v1/queue/jobs/<id:job_id>/artifacts/<str:name>", artifacts.OneArtifact.as_view(), name="artifact"),
    path("v1/queue/artifacts", artifacts.Artifacts.as_view(), name="artifacts"),
    path("v1/queue/batches", batches.Batches.as_view(), name="batches"),
    path("v1/queue/batches/<id:batch_id>", batches.OneBatch.as_view(), name="batch"),
    path("v1/queue/batches/<id:batch_id>/members", batches.BatchMembers.as_view(), name="batch-members"),
    path("v1/queue/batches/<id:batch_id>/retry", batches.RetryBatch.as_view(), name="retry-batch"),
    path("v1/queue/jobs/<str:job>", queue_addresses.OneQueueJob.as_view(), name="queue-job"),
    path("v1/queue/stats", queue_stats.QueueStats.as_view(), name="queue-stats"),
    path("v1/queue/workers", queue_addresses.QueueWorkers.as_view(), name="queue-workers"),
    path("v1/queue/queues/<str:name>/pause", queue_addresses.PauseOneQueue.as_view(), name="pause-one-queue"),
    path("v1/queue/queues/<str:name>/resume", queue_addresses.ResumeOneQueue.as_view(), name="resume-one-queue"),
    path("v1/workers", operations.Workers.as_view(), name="workers"),
    path("v1/jobs/retry-failed", operations.RetryFailedJobs.as_view(), name="retry-failed-jobs"),
    path("v1/jobs/clean-up", operations.CleanUpJobs.as_view(), name="clean-up-jobs"),
    path("v1/jobs/<id:job_id>/priority", queues.PriorityOfJob.as_view(), name="set-priority"),
    path("v1/notifications", notifications.Notifications.as_view(), name="notifications"),
    path("v1/notifications/subscriptions", notifications.Subscriptions.as_view(), name="subscriptions"),
    path(
        "v1/notifications/subscriptions/<id:subscription_id>",
        notifications.OneSubscription.as_view(),
        name="subscription",
    ),
    path(
        "v1/notifications/subscriptions/<id:subscription_id>/test",
        notifications.SubscriptionTest.as_view(),
        name="test-subscription",
    ),
    path(
        "v1/notifications/subscriptions/<id:subscription_id>/rotate-secret",
        notifications.SubscriptionSecret.as_view(),
        name="rotate-subscription-secret",
    ),
    path("v1/notifications/deliveries/replay", notifications.ReplayDeliveries.as_view(), name="replay-deliveries"),
    path("v1/notifications/deliveries", notifications.Deliveries.as_view(), name="deliveries"),
    path("v1/notifications/deliveries/<id:delivery_id>", notifications.OneDelivery.as_view(), name="delivery"),
    path(
        "v1/notifications/deliveries/<id:delivery_id>/replay",
        notifications.ReplayDelivery.as_view(),
        name="replay-delivery",
    ),
    path("v1/imports", imports.Imports.as_view(), name="imports"),
    path("v1/imports/plan", imports.PlanOfImport.as_view(), name="plan-import"),
    path("v1/imports/<id:job_id>", imports.OneImport.as_view(), name="import"),
    path("v1/imports/<id:job_id>/apply", imports.ApplyImport.as_view(), name="apply-import"),
    path("v1/imports/<id:job_id>/report", imports.ImportReport.as_view(), name="import-report"),
    path("v1/imports/<id:job_id>/report.csv", imports.ImportReportFile.as_view(), name="import-report-file"),
]
