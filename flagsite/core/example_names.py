"""Names and ids of the demo data, which the examples of the OpenAPI document use too.

`flagsite.development.demo.data` creates everything here, in the same order on each empty database. So the ids of a new
demo are always the same, and people can send each example of the document to the demo as it stands.
"""

from __future__ import annotations

ROOT, ROOT_ID, ROOT_NAME = "worldwide", 1, "Worldwide Retail Group"
NORTHERN_EUROPE, NORTHERN_EUROPE_ID = "northern-europe", 3519
DENMARK, DENMARK_ID = "dk", 3521
DANISH_REGION = "dk-81"
NORWAY, NORWAY_ID = "no", 4086
OSLO, OSLO_ID = "no-03", 4087
OSLO_PATH = f"{ROOT_NAME} › Europe › Northern Europe › Norway › Oslo"
NEW_STORE = "no-03-frogner"
"""The key of an organization that the demo does not have, for requests that create one."""
WAYS_TO_NAME = f"`{OSLO_ID}`, `{OSLO}`, `id:{OSLO_ID}` or `key:{OSLO}`"

BASKET_FLAG, BASKET_FLAG_ID = "new-basket", 1
FLAG, FLAG_ID = "new-checkout", 2
SALE_FLAG = "sale"
HAPPY_HOUR_FLAG = "happy-hour"
ARCHIVED_FLAG = "old-banner"
COLOR_FLAG = "button-color"
"""A flag of the type string with the variants `blue` and `red`."""
SALE_CHANGE = 2
"""The number of the change that has switched the sale on in Norway."""
NEW_FLAG, NEW_TYPED_FLAG = "one-page-checkout", "link-color"
"""Flags that the demo does not have."""
SEGMENT = "beta-testers"
UNUSED_SEGMENT = "pilot"
NEW_SEGMENT = "staff"
"""A segment that the demo does not have."""
USER = "user-17"
"""A targeting key."""

CHECKED_IMPORT_ID = 1
"""The job of an import that was a dry run without problems."""
FAILED_JOB_ID = 2
"""The job of an import whose file was refused."""
WAITING_JOB_ID = 3
"""A propagation that waits until a worker starts."""
LATER_JOB_ID = 4
"""A job that is due in a month."""

REPORT_ARTIFACT, REPORT_ARTIFACT_ID = "report.csv", 1
"""The report of the import CHECKED_IMPORT_ID."""
UPLOADED_ARTIFACT_ID = 3
"""An uploaded file. The artifact before it is the report of the import FAILED_JOB_ID."""

BATCH_ID, FAILED_MEMBER_ID, WAITING_MEMBER_ID = 1, 5, 6
"""A batch with a member that has failed, and one that is due in a month."""

SUBSCRIPTION_ID, DELIVERY_ID, SENDING_JOB_ID = 1, 1, 7
"""A subscription by e-mail, and the delivery of its test, which is in the outbox."""
LOCKING_JOB_ID = 8
"""A propagation of a lock, which waits until a worker starts."""
WEBHOOK_ID = 2
"""A subscription of a program."""

PLANNED_ID = 1
"""The id of a scheduled change that waits for its time."""
FAILED_PLAN_ID = 5
"""The id of a scheduled change that failed for good."""

KEY_PREFIX, KEY_NAME = "4fG6aBcD", "nightly-sync"
KEY_ACTOR = f"key:{KEY_PREFIX} {KEY_NAME}"
PERSON, NEW_PERSON = "alice", "bjorn"
PERIODIC_TASK, PERIODIC_TASK_ID = "clean up old jobs on Sundays", 100
NEW_PERIODIC_TASK = "clean up old jobs every night"
QUEUE, SPARE_QUEUE, NEW_QUEUE = "default", "campaigns", "exports"
"""The queue of several kinds, a queue without jobs, and a queue that the demo does not have."""
STATISTIC = "adoption"
