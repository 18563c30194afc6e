"""docs/upkeep.md names everything that a clean-up can delete."""

from __future__ import annotations

import re
from pathlib import Path

from jobs.operations import cleanup

PAGE = Path(__file__).resolve().parents[3] / "docs" / "upkeep.md"


def test_the_page_names_what_a_clean_up_deletes() -> None:
    section = PAGE.read_text().partition("\n## Clean-up\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(cleanup.ROW_NAMES)
