"""A replacement that replaces nothing fails."""

from __future__ import annotations

import pytest

from orgs.tests.replacing import replaced


def test_every_occurrence_is_replaced() -> None:
    assert replaced("a < b AND c < d", "<", "<=") == "a <= b AND c <= d"


def test_what_does_not_occur_cannot_be_replaced() -> None:
    with pytest.raises(AssertionError, match="is not in"):
        replaced("a < b", ">", ">=")
