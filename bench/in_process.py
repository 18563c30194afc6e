"""One evaluation inside a Django process, compared with other libraries in the same run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from bench.installation import ROOT, Installation
from bench.report import Result

RULED_PEERS = ("UnleashClient", "growthbook", "flagsmith", "flagd")
MAX_RULED_MICROSECONDS = 5.0
PEERS = ("UnleashClient", "growthbook", "flagsmith", "waffle")
MAX_MICROSECONDS = 2.0
MEASURE_OURS = """
import django, json; django.setup()
from bench.peers import microseconds
from flags.client import is_enabled
from flags.models import Flag
Flag.objects.bulk_create([Flag(key=f"half-{n}", enabled=True, rollout_percentage=50) for n in range(100)])
evaluate = lambda user: is_enabled("half-50", user_id=user, organization=1)
print(json.dumps(microseconds(evaluate)), flush=True)
"""
MEASURE_OUR_RULES = """
import django, json; django.setup()
from bench.rule_sets import rule_sets
from bench.ruled_peers import checked_microseconds
from bench.translated_rules import flagsite_rules
from flags.client import is_enabled
from flags.models import Flag
names = [f"ruled-{n}" for n in range(100)]
rules = [flagsite_rules(each) for each in rule_sets()] + [[]] * 70
Flag.objects.bulk_create([Flag(key=name, targeting_rules=each) for name, each in zip(names, rules)])
evaluate = lambda flag, given: is_enabled(names[flag], user_id=given[0], organization=1, attributes=given[1])
print(json.dumps(checked_microseconds(evaluate, lambda user, context: (user, context))), flush=True)
"""


def in_process(installation: Installation, rows: int) -> Result:
    """Measure `is_enabled` with 100 flags and a rollout to half of the users, in Flagsite and in other libraries."""
    installation.create_trees(10)
    python = peers_python(installation)
    theirs = {}
    for name in PEERS:
        done = subprocess.run([python, ROOT / "bench" / "peers.py", name], capture_output=True, text=True, check=True)
        theirs[name] = json.loads(done.stdout)
    ours = float(json.loads(installation.python(MEASURE_OURS).splitlines()[-1]))
    fastest = min(theirs.values())
    return Result(
        "is_enabled, 50 % rollout, 100 flags", f"{ours:.2f} µs",
        ", ".join(f"{name} {figure:.0f} µs" for name, figure in theirs.items()), ours / fastest,
        f"≤ {MAX_MICROSECONDS:g} µs, faster than all", ours <= MAX_MICROSECONDS and ours < fastest,
        {"microseconds": {"ours": ours, **theirs}},
    )  # fmt: skip


def ruled_in_process(installation: Installation, rows: int) -> Result:
    """Measure `is_enabled` of 30 flags with five rules of three clauses each, in Flagsite and in other libraries.

    All of them give the same answers, which each program checks before it measures.
    """
    installation.create_trees(10)
    python, theirs = peers_python(installation), {}
    for name in RULED_PEERS:
        command = [python, ROOT / "bench" / "ruled_peers.py", name]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        theirs[name] = json.loads(done.stdout)
    ours = float(json.loads(installation.python(MEASURE_OUR_RULES).splitlines()[-1]))
    fastest = min(theirs.values())
    return Result(
        "is_enabled, 5 rules of 3 clauses, 30 different flags of 100", f"{ours:.2f} µs",
        ", ".join(f"{name} {figure:.0f} µs" for name, figure in theirs.items()), ours / fastest,
        f"≤ {MAX_RULED_MICROSECONDS:g} µs, faster than all", ours <= MAX_RULED_MICROSECONDS and ours < fastest,
        {"microseconds": {"ours": ours, **theirs}},
    )  # fmt: skip


def peers_python(installation: Installation) -> Path:
    """Return the Python of an environment with the other libraries. The first call creates it, and again if its
    requirements have changed."""
    folder, requirements = installation.folder / "peers", ROOT / "bench" / "peers.txt"
    python, complete = folder / "bin" / "python", folder / "complete"
    if not complete.exists() or complete.read_text() != requirements.read_text():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = [python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", requirements]
        subprocess.run(install, check=True)
        complete.write_text(requirements.read_text())
    return python
