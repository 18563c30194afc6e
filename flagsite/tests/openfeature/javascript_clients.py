"""The npm packages that the tests use, installed once for each package-lock.json."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from flagsite.tests.crash.installation import CHECKOUT

SOURCES = Path(__file__).parent / "javascript"


def installed() -> Path:
    """A folder with the packages and our own scripts beside them.

    Skips where there is no npm, unless FLAGSITE_REQUIRE_BROWSER says that everything must be there.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        if os.environ.get("FLAGSITE_REQUIRE_BROWSER"):
            raise RuntimeError("These tests need node and npm; apt-get install nodejs npm.")
        pytest.skip("no node or npm on this machine")
    digest = hashlib.sha256((SOURCES / "package-lock.json").read_bytes()).hexdigest()[:12]
    folder = CHECKOUT / ".data" / "cache" / f"openfeature-javascript-{digest}"
    if not folder.exists():
        _install(folder)
    for script in SOURCES.glob("*.mjs"):
        shutil.copy(script, folder)
    return folder


def bundled(script: Path, into: Path) -> None:
    """Have esbuild make one module of a script and all that it imports, as browsers take it."""
    packages = installed() / "node_modules"
    command = [str(packages / ".bin" / "esbuild"), str(script), "--bundle", "--format=esm", f"--outfile={into}"]
    environment = {**os.environ, "NODE_PATH": str(packages)}
    subprocess.run([*command, "--log-level=warning"], env=environment, check=True, timeout=60)


def ask(packages: Path, url: str, key: str, *questions: dict[str, Any]) -> list[dict[str, Any]]:
    """Have a node process ask all of it, one after the other; the details of each answer."""
    given = json.dumps({"url": url, "key": key, "questions": questions})
    done = subprocess.run(
        ["node", "server.mjs"], cwd=packages, input=given, stdout=subprocess.PIPE, text=True, check=True, timeout=60
    )
    return list(json.loads(done.stdout))


def _install(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as beside:  # nobody finds half of it
        place = Path(beside) / "place"
        shutil.copytree(SOURCES, place, ignore=shutil.ignore_patterns("node_modules"))
        subprocess.run(["npm", "ci", "--ignore-scripts", "--silent"], cwd=place, check=True, timeout=100)
        if not folder.exists():
            place.rename(folder)
