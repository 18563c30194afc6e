"""What the public suites of other products expect, Flagsite answers; each exception is listed with its reason.

After a change of an import, `flags.tests.suites.relist` writes anew what follows from it.
"""

from __future__ import annotations

import pytest
from django.conf import settings

from flags.moving.issues import Issue
from flags.tests.suites import schemas
from flags.tests.suites.page import PAGE
from flags.tests.suites.running import (
    AS_EXPECTED,
    FLAG_SUITES,
    OWN,
    UNLISTED,
    figures,
    left_out,
    outcomes,
    read_file,
    suite,
)

GENERAL = {"attributes", "reason", "times", "types", "versions"}
"""Codes of differences that hold for a whole product, so that no import notes them for one flag."""


@pytest.mark.parametrize("name", FLAG_SUITES)
def test_each_case_is_answered_as_the_product_answers_it_or_is_listed(name: str) -> None:
    assert [(case, answer) for outcome, case, answer in outcomes(name) if outcome == UNLISTED] == []


@pytest.mark.parametrize("name", FLAG_SUITES)
def test_no_case_is_listed_that_is_answered_as_the_product_answers_it(name: str) -> None:
    assert [case for outcome, case, _ in outcomes(name) if outcome == AS_EXPECTED and "differs" in case] == []


@pytest.mark.parametrize("name", FLAG_SUITES)
def test_the_import_leaves_out_the_listed_flags_with_their_codes(name: str) -> None:
    for file, found in zip(suite(name)["files"], left_out(name), strict=True):
        assert found == file["leftOut"], file["content"]


@pytest.mark.parametrize("name", [name for name in FLAG_SUITES if suite(name)["product"] != OWN])
def test_the_import_notes_each_flag_that_answers_differently(name: str) -> None:
    for file in suite(name)["files"]:
        _, reading = read_file(name, file["content"])
        noted = {(remark.flag, remark.issue.value) for remark in reading.remarks}
        differing = {(case["flag"], case["differs"]) for case in file["cases"] if "differs" in case}
        assert {each for each in differing if each[1] not in GENERAL} <= noted
        assert GENERAL.isdisjoint(Issue)


def test_the_page_explains_each_code() -> None:
    page = PAGE.read_text(encoding="utf-8") + (settings.BASE_DIR / "docs" / "moving.md").read_text(encoding="utf-8")
    explained = {name for line in page.splitlines() if line.startswith("| `") for name in line.split("|")[1].split("`")}
    codes = {code for name in FLAG_SUITES for code in figures(name)} | set(schemas.figures())
    assert codes - {AS_EXPECTED} <= explained
