"""What pytest-bdd asks for between the scenarios."""

from __future__ import annotations

from typing import Any

import pytest

from flagsite.tests.openfeature.gherkin import not_applicable


def pytest_configure(config: pytest.Config) -> None:
    """OpenFeature's tables of examples have these tags, which pytest-bdd makes markers."""
    for kind in ("booleans", "strings", "numbers", "objects"):
        config.addinivalue_line("markers", f"{kind}: examples with such flags, in OpenFeature's gherkin cases")


def pytest_bdd_apply_tag(tag: str, function: object) -> bool:
    """Scenarios' tags are numbers of paragraphs of the specification: no markers of ours."""
    return True


def pytest_bdd_before_scenario(scenario: Any) -> None:
    """Skip what does not apply, and say why."""
    if reason := not_applicable.SCENARIOS.get(scenario.name):
        pytest.skip(reason)
