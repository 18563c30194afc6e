"""The report of an import as a file: one query, in blocks, whatever the number of its lines."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from flagsite.core.db.copy_in import BLOCK_SIZE
from jobs.engine import lifecycle
from jobs.imports import report
from jobs.imports.import_job import KIND
from jobs.imports.models import OrganizationImport

ADD_LINES = """
INSERT INTO jobs_importline (organization_import_id, line, change, key, name)
SELECT %s, number, 'create', 'store-' || number, 'Store ' || number FROM generate_series(1, %s) number
"""


def import_with_lines(count: int) -> OrganizationImport:
    job = lifecycle.create(kind=KIND, organization_id=None, arguments={}, requested_by="user:olga")
    record = OrganizationImport.objects.create(job=job, is_dry_run=True)
    with connection.cursor() as cursor:
        cursor.execute(ADD_LINES, [record.pk, count])
    return record


@pytest.mark.django_db
def test_a_long_report_needs_no_more_queries_than_a_short_one() -> None:
    """A query for each block would sort the rest of the report again and again while the table has no statistics."""
    statements = []
    for count in (1, 2 * BLOCK_SIZE + 1):
        record = import_with_lines(count)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            lines = "".join(report.csv_report(record)).splitlines()
        assert [line.partition(",")[0] for line in lines[1:]] == [str(number) for number in range(1, count + 1)]
        statements.append(len(queries))
    assert statements[0] == statements[1]


@pytest.mark.django_db
def test_a_client_that_leaves_during_the_report_leaves_no_transaction_behind() -> None:
    blocks = report.csv_report(import_with_lines(report.BLOCK_SIZE + 1))
    before = list(connection.savepoint_ids)
    next(blocks)
    assert connection.savepoint_ids != before
    blocks.close()
    assert connection.savepoint_ids == before
