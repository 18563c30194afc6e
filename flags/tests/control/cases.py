"""The published cases of docs/conformance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "conformance"
FILES = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
CASES: dict[str, dict[str, Any]] = {
    f"{file}: {case['name']}": case for file, content in FILES.items() for case in content["cases"]
}
"""By the name of the file and of the case."""
