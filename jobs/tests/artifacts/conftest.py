"""An empty folder of artifacts for each test."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django import Settings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Settings) -> Path:
    """The folder of the artifacts."""
    backend = {"BACKEND": "jobs.artifacts.files.LocalFiles", "OPTIONS": {"location": str(tmp_path / "artifacts")}}
    settings.STORAGES = {**settings.STORAGES, "artifacts": backend}
    return tmp_path / "artifacts"
