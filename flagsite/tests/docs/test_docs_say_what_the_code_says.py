"""What README and docs list is what the code has."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.urls import get_resolver

from flagsite import environment
from jobs.engine.states import TRANSITIONS

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()


def test_the_readme_lists_every_setting_that_is_read_and_no_other() -> None:
    assert settings.configured  # reading the settings has filled the list of variables
    table = README.partition("## Settings")[2].partition("\n## ")[0]
    first_cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    listed = {name for cell in first_cells for name in re.findall(r"`([A-Z_]+)`", cell)}
    assert listed == {*environment.known_variables, "FLAGSITE_DATA_DIR"}


def test_the_readme_names_every_path_of_the_contract() -> None:
    paths = {str(pattern.pattern) for pattern in get_resolver().url_patterns}
    assert paths, "no paths at all"
    for call in ("job-status", "jobs", "retry-job", "cancel-job", "job-retry-chain", "job-failures", "organizations"):
        assert f"/{call}" in README
        assert any(call in path for path in map(str, _all_patterns())), call


def test_the_state_diagram_shows_the_moves_that_there_are() -> None:
    diagram = ARCHITECTURE.partition("```mermaid")[2].partition("```")[0]
    drawn = set()
    for source, target, words in re.findall(r"^\s+([A-Z_]+) --> ([A-Z_]+): (.+)$", diagram, re.MULTILINE):
        names = re.match(r"[a-z_]+(?:, [a-z_]+)*", words)
        assert names, words
        drawn |= {(name, source, target) for name in names[0].split(", ")}
    assert drawn == {(name, move.source.value, move.target.value) for name, move in TRANSITIONS.items()}


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("http"):
            assert (ROOT / page).parent.joinpath(target).exists(), f"{page} links to {target}"


def test_files_that_the_pages_name_exist() -> None:
    for page in ("README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/locking.md"):
        for name in re.findall(
            r"`((?:flagsite|flags|jobs|orgs|bench|bin|docs)/[\w./]+\.\w+)`", (ROOT / page).read_text()
        ):
            assert (ROOT / name).exists(), f"{page} names {name}"


def test_no_file_grows_beyond_what_a_person_reads_in_one_sitting() -> None:
    longest = 400
    for folder in ("flagsite", "flags", "jobs", "orgs", "bench", "bin"):
        for path in (ROOT / folder).rglob("*.py"):
            lines = len(path.read_text().splitlines())
            assert lines <= longest or "migrations" in path.parts, f"{os.path.relpath(path, ROOT)} has {lines} lines"


def _all_patterns() -> list[str]:
    def walk(patterns: list[Any], prefix: str = "") -> list[str]:
        found = []
        for pattern in patterns:
            path = prefix + str(getattr(pattern, "pattern", ""))
            found += walk(pattern.url_patterns, path) if hasattr(pattern, "url_patterns") else [path]
        return found

    return walk(get_resolver().url_patterns)
