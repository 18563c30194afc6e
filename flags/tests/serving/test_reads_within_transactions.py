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


def values(cache: EvaluationCache, organization_id: int) -> list[bool]:
    return [state.enabled for state in cache.snapshot(organization_id).states.rows]


def test_what_is_rolled_back_was_seen_within_and_is_not_kept(cast: Cast) -> None:
    cache = EvaluationCache()
    with pytest.raises(RolledBack), transaction.atomic():
        switch(cast.oslo.pk, on=True)
        assert values(cache, cast.oslo.pk) == [True]
        assert "checkout" in cache.definitions().by_key
        raise RolledBack
    assert values(cache, cast.oslo.pk) == []
    assert "checkout" not in cache.definitions().by_key


def test_what_a_snapshot_does_not_show_is_not_missed_afterwards(cast: Cast) -> None:
    cache = EvaluationCache()
    switch(cast.oslo.pk, on=False)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT 1 FROM orgs_organization")
        Background(lambda: switch(cast.oslo.pk, on=True)).result()
        assert values(cache, cast.oslo.pk) == [False]
    assert values(cache, cast.oslo.pk) == [True]


def test_what_a_transaction_reads_that_has_written_nothing_is_kept(cast: Cast) -> None:
    """Else nothing would be, where each request is a transaction (ATOMIC_REQUESTS)."""
    cache = EvaluationCache()
    with transaction.atomic():
        snapshot, definitions = cache.snapshot(cast.oslo.pk), cache.definitions()
    assert cache.snapshot(cast.oslo.pk) is snapshot
    assert cache.definitions() is definitions
