"""Whose key it is, remembered, but no longer than it is true."""

from __future__ import annotations

import pytest
from django.db import OperationalError

from flags.serving import access_key_cache
from flags.serving.access_key_cache import AccessKeyCache
from orgs.access.caller import Caller
from orgs.access.models import Role

OURS = Caller("key:ours nightly", Role.READER)


class Database:
    """Knows the keys that begin with `ours`, until they are revoked; counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.revoked = False
        self.away = False

    def caller_with(self, key: str) -> Caller | None:
        """As orgs.access.authentication has it."""
        self.asked += 1
        if self.away:
            raise OperationalError("gone")
        return OURS if key.startswith("ours") and not self.revoked else None


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    made = Database()
    monkeypatch.setattr(access_key_cache, "caller_with", made.caller_with)
    return made


def test_a_key_that_is_revoked_while_it_is_looked_up_is_looked_up_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = AccessKeyCache()

    def caller_with(key: str) -> Caller | None:
        found = database.caller_with(key)
        if not database.revoked:
            database.revoked = True
            cache.clear()  # the listener hears of it before the answer is stored
        return found

    monkeypatch.setattr(access_key_cache, "caller_with", caller_with)
    assert cache.caller_with("ours") is OURS
    assert cache.caller_with("ours") is None


def test_a_key_that_becomes_valid_is_so_once_it_is_heard_of(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = AccessKeyCache()
    database.revoked = True
    assert cache.caller_with("ours") is None
    database.revoked = False
    assert cache.caller_with("ours") is None
    cache.clear()
    assert cache.caller_with("ours") is OURS


def test_many_keys_of_nobody_drive_out_none_of_somebody(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_key_cache, "MOST", 5)
    cache = AccessKeyCache()
    assert cache.caller_with("ours") is OURS
    for number in range(20):
        assert cache.caller_with(f"nonsense-{number}") is None
    asked = database.asked
    assert cache.caller_with("ours") is OURS
    assert cache.caller_with("nonsense-19") is None
    assert database.asked == asked
    assert len(cache._invalid) == 5


def test_of_too_many_keys_the_one_that_was_looked_up_longest_ago_goes(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_key_cache, "MOST", 3)
    cache = AccessKeyCache()
    for number in (1, 2, 3, 4):
        cache.caller_with(f"ours-{number}")
    asked = database.asked
    cache.caller_with("ours-4")
    cache.caller_with("ours-2")
    assert database.asked == asked
    cache.caller_with("ours-1")
    assert database.asked == asked + 1


def test_while_the_database_is_away_a_key_that_was_valid_is_believed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = AccessKeyCache()
    cache.caller_with("ours")
    database.away = True
    monkeypatch.setattr(access_key_cache, "FRESH_SECONDS", 0)
    assert cache.caller_with("ours") is OURS
    with pytest.raises(OperationalError):
        cache.caller_with("ours-too")
