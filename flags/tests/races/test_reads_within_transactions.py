"""What is read within a transaction, and what of it a process keeps."""

from __future__ import annotations

import pytest
from django.db import connection, transaction

from conftest import Cast
from flags.serving.evaluation_cache import EvaluationCache
from flags.states.set_flag import set_flag
from jobs.tests.races.threads import Background

pytestmark = pytest.mark.django_db(transaction=True)


class RolledBack(Exception):
    """Whatever made a request fail."""


def switch(organization_id: int, *, on: bool) -> None:
    set_flag(organization_id=organization_id, flag_key="checkout", enabled=on)


def values(memory: EvaluationCache, organization_id: int) -> list[bool]:
    return [state.enabled for state in memory.view(organization_id).states.rows]


def test_what_is_rolled_back_was_seen_within_and_is_not_kept(cast: Cast) -> None:
    memory = EvaluationCache()
    with pytest.raises(RolledBack), transaction.atomic():
        switch(cast.oslo.pk, on=True)
        assert values(memory, cast.oslo.pk) == [True]
        assert "checkout" in memory.definitions().by_key
        raise RolledBack
    assert values(memory, cast.oslo.pk) == []
    assert "checkout" not in memory.definitions().by_key


def test_what_a_snapshot_does_not_show_is_not_missed_afterwards(cast: Cast) -> None:
    memory = EvaluationCache()
    switch(cast.oslo.pk, on=False)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT 1 FROM orgs_organization")
        Background(lambda: switch(cast.oslo.pk, on=True)).result()
        assert values(memory, cast.oslo.pk) == [False]
    assert values(memory, cast.oslo.pk) == [True]


def test_what_a_transaction_reads_that_has_written_nothing_is_kept(cast: Cast) -> None:
    """Else nothing would be, where each request is a transaction (ATOMIC_REQUESTS)."""
    memory = EvaluationCache()
    with transaction.atomic():
        view, definitions = memory.view(cast.oslo.pk), memory.definitions()
    assert memory.view(cast.oslo.pk) is view
    assert memory.definitions() is definitions
