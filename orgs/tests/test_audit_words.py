"""What an audit entry says in words about values before and after."""

from __future__ import annotations

from typing import Any

import pytest

from orgs.audit.models import AuditEntry
from orgs.audit.words import in_words

NAMES = {1: "Acme", 2: "Acme › North"}


@pytest.mark.parametrize(
    ("action", "details", "words"),
    [
        ("flag.set", {"enabled": True, "before": None}, ["not set → on"]),
        ("flag.set", {"enabled": False, "before": True, "jobId": 7}, ["on → off", "job id: 7"]),
        ("flag.set", {"enabled": False, "changeNumber": 3}, ["not set → off", "change number: 3"]),
        ("flag.exempt", {"enabled": True, "before": False}, ["off → on"]),
        ("flag.exemption-ended", {"enabled": None, "before": True}, ["on → not set"]),
        ("flag.undo", {"enabled": True, "before": False, "undone": 5}, ["off → on", "undone: 5"]),
        (
            "flag.undo",
            {"before": {"killed": True}, "after": {"killed": False}, "undone": 5},
            [
                "killed: on → off",
                "undone: 5",
            ],
        ),
        (
            "flag.update",
            {"before": {"rolloutPercentage": 10, "killed": False}, "after": {"rolloutPercentage": 25, "killed": True}},
            ["rollout percentage: 10 → 25", "killed: off → on"],
        ),
        (
            "flag.update",
            {"before": {"userWhitelist": ["ann", "bob"]}, "after": {"userWhitelist": ["bob", "eve", "dan"]}},
            ["user whitelist: added eve, dan and removed ann"],
        ),
        ("flag.update", {"before": {"tags": ["a", "b"]}, "after": {"tags": ["b", "a"]}}, ["tags: another order"]),
        (
            "flag.update",
            {"before": {"environments": {"staging": True}}, "after": {"environments": {"staging": False}}},
            ["environments: staging: on → off"],
        ),
        ("flag.update", {"before": {"owner": ""}, "after": {"owner": "pay"}}, ["owner: none → pay"]),
        ("flag.create", {"before": None, "after": {"owner": "pay", "tags": []}}, ["owner: pay"]),
        ("flag.purged", {"before": {"owner": "pay"}, "after": None}, ["owner was pay"]),
        ("organization.rename", {"before": "A", "after": "B"}, ["name: A → B"]),
        ("organization.move", {"before": 2, "after": 1}, ["parent: Acme › North → Acme"]),
        ("organization.move", {"before": 2, "after": None}, ["parent: Acme › North → none, it is a root"]),
        ("organization.create", {"name": "Oslo", "parentId": 2}, ["name: Oslo", "parent id: Acme › North"]),
        ("job.priority", {"before": 0, "after": 5}, ["priority: 0 → 5"]),
        ("queue.change", {"before": {"concurrency": None}, "after": {"concurrency": 4}}, ["concurrency: none → 4"]),
        ("queue.pause", {}, []),
    ],
)
def test_values_before_and_after_are_in_words(action: str, details: dict[str, Any], words: list[str]) -> None:
    assert in_words(AuditEntry(action=action, details=details), NAMES) == words


def test_a_long_value_is_cut() -> None:
    details = {"before": {"description": ""}, "after": {"description": "x" * 1000}}
    (words,) = in_words(AuditEntry(action="flag.update", details=details), {})
    assert len(words) < 250
