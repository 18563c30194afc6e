"""The examples of parameters in paths and queries, which name what a new demo has."""

from __future__ import annotations

from typing import Any

from flagsite.core import example_names as names

BY_NAME: dict[str, Any] = {
    "orgId": names.OSLO,
    "organization": names.OSLO,
    "organizationId": names.OSLO,
    "organizationKey": names.OSLO,
    "parent": names.NORWAY,
    "below": names.NORWAY,
    "featureFlagName": names.FLAG,
    "name": names.FLAG,
    "key": names.FLAG,
    "flag": names.FLAG,
    "enabled": "true",
    "userId": names.USER,
    "job_id": names.WAITING_JOB_ID,
    "batch_id": names.BATCH_ID,
    "subscription_id": names.SUBSCRIPTION_ID,
    "subscriptionId": names.SUBSCRIPTION_ID,
    "delivery_id": names.DELIVERY_ID,
    "schedule_id": names.PLANNED_ID,
    "task_id": names.PERIODIC_TASK_ID,
    "prefix": names.KEY_PREFIX,
    "username": names.PERSON,
}
"""The example of each parameter with this name."""
OF_SEGMENTS = ("getSegment", "replaceSegment", "changeSegment", "planSegment", "listUsesOfSegment")
BY_OPERATION: dict[str, dict[str, Any]] = {
    "putExemption": {"organization": names.DANISH_REGION, "featureFlagName": names.BASKET_FLAG},
    "endExemption": {"organization": names.DANISH_REGION, "featureFlagName": names.BASKET_FLAG},
    "undoChange": {"number": names.SALE_CHANGE},
    "planUndo": {"number": names.SALE_CHANGE},
    "listBatches": {"key": "upkeep"},
    **{operation: {"key": names.SEGMENT} for operation in OF_SEGMENTS},
    "deleteSegment": {"key": names.UNUSED_SEGMENT},
    "listOrganizations": {"name": "oslo", "key": names.OSLO},
    "listDescendants": {"organization": names.NORWAY},
    "cancelJob": {"job_id": names.LATER_JOB_ID},
    "setPriority": {"job_id": names.LATER_JOB_ID},
    "retryJob": {"job_id": names.FAILED_JOB_ID},
    "getJobRetryChain": {"job_id": names.FAILED_JOB_ID},
    "listJobFailures": {"job_id": names.FAILED_JOB_ID},
    "getImport": {"job_id": names.CHECKED_IMPORT_ID},
    "applyImport": {"job_id": names.CHECKED_IMPORT_ID},
    "getImportReport": {"job_id": names.CHECKED_IMPORT_ID},
    "downloadImportReport": {"job_id": names.CHECKED_IMPORT_ID},
    "listArtifactsOfJob": {"job_id": names.CHECKED_IMPORT_ID},
    "downloadArtifact": {"job_id": names.CHECKED_IMPORT_ID, "name": names.REPORT_ARTIFACT},
    "uploadArtifact": {"name": "users.csv"},
    "rotateSubscriptionSecret": {"subscription_id": names.WEBHOOK_ID},
    "retrySchedule": {"schedule_id": names.FAILED_PLAN_ID},
    "listAccessKeys": {"organizationId": names.NORWAY},
    "listPeople": {"organizationId": names.NORWAY},
    "getQueueJob": {"job": str(names.WAITING_JOB_ID)},
    "deleteQueueJob": {"job": str(names.LATER_JOB_ID)},
    "enqueueJobOfKind": {"job": "cleanup"},
    "scheduleKind": {"kind": "maintenance"},
    "removeScheduled": {"scheduled": f"job-{names.LATER_JOB_ID}"},
    "pauseOneQueue": {"name": names.QUEUE},
    "resumeOneQueue": {"name": names.QUEUE},
    "getQueue": {"name": names.QUEUE},
    "readStatistic": {"name": names.STATISTIC},
    "deleteQueue": {"name": names.SPARE_QUEUE},
    "changeQueue": {"name": names.QUEUE},
    "pauseQueue": {"name": names.QUEUE},
    "resumeQueue": {"name": names.QUEUE},
}
"""The examples of an operation that needs others."""


def add_parameter_examples(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add examples to the parameters of each operation; a postprocessing hook of drf-spectacular."""
    for operations in result["paths"].values():
        for operation in operations.values():
            examples = BY_NAME | BY_OPERATION.get(operation["operationId"], {})
            for parameter in operation.get("parameters", ()):
                if parameter["in"] in ("path", "query") and parameter["name"] in examples:
                    parameter["example"] = examples[parameter["name"]]
    return result
