"""CHANGELOG.md tells of the version that the code has."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from flagsite.health.version import VERSION

ROOT = Path(__file__).resolve().parents[3]
HEADINGS = re.findall(r"^## \[([^\]]+)\](?: - (\S+))?$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_unreleased_changes_stand_above_all_releases() -> None:
    assert HEADINGS[0] == ("Unreleased", "")


def test_the_newest_release_is_the_version_of_the_code() -> None:
    newest, _ = HEADINGS[1]
    assert newest == VERSION


def test_releases_have_a_date_and_the_newest_comes_first() -> None:
    dates = [date.fromisoformat(day) for _, day in HEADINGS[1:]]
    assert dates == sorted(dates, reverse=True)


def test_unreleased_changes_stand_in_the_group_of_their_subject() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    unreleased = text[text.index("## [Unreleased]") : text.index(f"## [{VERSION}]")]
    entries = re.findall(r"^- (.+)$", unreleased, re.MULTILINE)
    assert [entry for entry in entries if re.match(r"For [a-z ]+:", entry)] == []
    assert len(set(entries)) == len(entries)
