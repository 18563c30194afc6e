"""The periods of reports are whole days in UTC."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from flags.reports.period import Period, period_of
from jobs.errors import InvalidJobArguments

TODAY = date(2026, 3, 1)


@pytest.mark.parametrize(
    ("arguments", "first", "last"),
    [
        ({}, date(2026, 2, 1), date(2026, 2, 28)),
        ({"period": "last-month"}, date(2026, 2, 1), date(2026, 2, 28)),
        ({"period": "day"}, date(2026, 2, 28), date(2026, 2, 28)),
        ({"period": "week"}, date(2026, 2, 22), date(2026, 2, 28)),
        ({"period": "month"}, date(2026, 1, 30), date(2026, 2, 28)),
        ({"from": "2026-02-28", "to": "2026-03-01"}, date(2026, 2, 28), date(2026, 3, 1)),
    ],
)
def test_periods_end_before_today_unless_days_are_named(arguments: dict[str, Any], first: date, last: date) -> None:
    assert period_of(arguments, today=TODAY) == Period(first, last)


@pytest.mark.parametrize(
    ("first", "last", "field"),
    [
        ("2026-02-28", "2026-02-27", "to"),
        ("2026-03-02", "2026-03-03", "from"),
        ("2024-01-01", "2026-01-01", "to"),
        ("2026-02-30", "2026-03-01", "from"),
    ],
)
def test_days_that_make_no_period_are_refused(first: str, last: str, field: str) -> None:
    with pytest.raises(InvalidJobArguments, match=rf"arguments\.{field}"):
        period_of({"from": first, "to": last}, today=TODAY)


@pytest.mark.parametrize(
    ("first", "last", "words", "slug"),
    [
        (date(2026, 2, 1), date(2026, 2, 28), "1–28 February 2026", "2026-02"),
        (date(2026, 12, 1), date(2026, 12, 31), "1–31 December 2026", "2026-12"),
        (date(2026, 2, 3), date(2026, 2, 3), "3 February 2026", "2026-02-03"),
        (date(2026, 2, 27), date(2026, 3, 2), "27 February – 2 March 2026", "2026-02-27-to-2026-03-02"),
        (date(2025, 12, 1), date(2026, 1, 31), "1 December 2025 – 31 January 2026", "2025-12-01-to-2026-01-31"),
    ],
)
def test_periods_have_words_and_names_of_files(first: date, last: date, words: str, slug: str) -> None:
    period = Period(first, last)
    assert (period.words, period.slug) == (words, slug)
