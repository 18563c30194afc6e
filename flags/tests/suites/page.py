"""The figures of the suites in docs/suites.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from flags.tests.suites import schemas
from flags.tests.suites.running import AS_EXPECTED, FLAG_SUITES, figures, suite

PAGE = settings.BASE_DIR / "docs" / "suites.md"
HEAD = "| suite | version, commit | cases | as expected | otherwise, by code |"


def row(content: Mapping[str, Any], found: Counter[str]) -> str:
    """The row of one suite."""
    codes = ", ".join(f"`{code}` {count}" for code, count in sorted(found.items()) if code != AS_EXPECTED)
    source = f"[{content['suite']}]({content['source']})"
    commit = f", `{content['commit'][:8]}`" if content["commit"] else ""
    return f"| {source} | {content['version']}{commit} | {found.total()} | {found[AS_EXPECTED]} | {codes} |"


def rows() -> list[str]:
    """The rows of all suites, in their order."""
    of_flags = [row(suite(name), figures(name)) for name in FLAG_SUITES]
    return [*of_flags, row(suite(schemas.SCHEMAS), schemas.figures())]


def written_rows() -> list[str]:
    """The rows that the page has."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    begin = lines.index(HEAD) + 2
    return lines[begin : lines.index("", begin)]


def write_figures() -> None:
    """Write the rows into the page."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, after = text.partition(HEAD)
    rule, rest = after.split("\n")[1], after[after.index("\n\n") :]
    PAGE.write_text("\n".join([f"{before}{HEAD}", rule, *rows()]) + rest, encoding="utf-8")
