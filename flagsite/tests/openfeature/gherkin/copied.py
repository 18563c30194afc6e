"""OpenFeature's own feature files, where somebody has a copy of them."""

from __future__ import annotations

import os
from pathlib import Path


def features(*names: str, but: tuple[str, ...] = ()) -> list[str]:
    """Those of these names in the folder that FLAGSITE_OPENFEATURE_GHERKIN names; without names all `but` some."""
    folder = os.environ.get("FLAGSITE_OPENFEATURE_GHERKIN")
    found = sorted(Path(folder).glob("*.feature")) if folder else []
    return [str(path.resolve()) for path in found if (path.name in names if names else path.name not in but)]
