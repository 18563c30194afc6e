"""What settings in the tree cost: a flip above many settings, a lock, an unlock, a reset, a plan and an undo."""

from __future__ import annotations

import math
import time
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl

from bench.installation import Installation
from bench.report import Result, say

mpl.use("svg")
from matplotlib import pyplot as plt

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "undo.svg"
ROUNDS = 3
SETS_EVERY, LOCKS_EVERY = 100, 1000
"""Of the organizations below the root, each hundredth has a setting of its own, and each thousandth a lock."""
PLANS, SMALL_TREE = 21, 10_000
UNDONE = 1_000
"""The settings that an undo restores in trees of different sizes."""
MOST_GROWTH = 2.0
"""How many times as long the slowest undo of UNDONE settings may take as the fastest, whatever the tree's size."""
PLANT = """
INSERT INTO flags_flagsetting (organization_id, flag_id, number, decision, kind, enabled, requested_by, reason)
SELECT organization_id, flag_id, number, number, %(kind)s, organization_id %% 2 = 0, '', ''
  FROM (SELECT organization.id AS organization_id, flag.id AS flag_id, nextval('flags_change_number') AS number
          FROM orgs_organization organization, flags_flag flag
         WHERE flag.key = %(flag)s AND organization.level > 0 AND organization.id %% %(every)s = %(rest)s
         ORDER BY organization.id LIMIT %(most)s) planted
"""
COUNT = "SELECT count(*) FROM flags_flagsetting WHERE kind = 'set' AND organization_id <> %s"


class FlagOnRoot:
    """One flag on the root of a tree, and the deeds that a benchmark times there, until their jobs are COMPLETED."""

    def __init__(self, installation: Installation, root: int, key: str) -> None:
        self.installation, self.root, self.key = installation, root, key
        self.address = f"/v1/organizations/{root}/flags/{key}"

    def set(self, *, below: str = "keep") -> float:
        """Give the flag the other value than the one that it had."""
        value = self.installation.http.get(self.address).json().get("value")
        return self.send("PUT", self.address, {"value": not value, "below": below})

    def reset(self) -> float:
        """End the set or the lock of the root."""
        return self.send("DELETE", self.address)

    def send(self, method: str, address: str, body: dict[str, Any] | None = None) -> float:
        """Send a request and wait for its job. Returns the seconds."""
        began = time.perf_counter()
        answer = self.installation.http.request(method, address, json=body)
        assert answer.status_code in (200, 202), answer.text
        self.accepted = time.perf_counter() - began
        self.answer: dict[str, Any] = answer.json()
        if self.answer["jobId"] is not None:
            self.installation.wait(self.answer["jobId"])
        return time.perf_counter() - began

    def plan(self) -> float:
        """Plan a set. Returns the seconds."""
        began = time.perf_counter()
        answer = self.installation.http.post(f"{self.address}/plan", json={"value": True})
        assert answer.status_code == 200, answer.text
        return time.perf_counter() - began

    def plant(self, kind: str, every: int, rest: int, most: int | None = None) -> None:
        """Give settings to organizations below the root, spread over the tree."""
        values = {"flag": self.key, "kind": kind, "every": every, "rest": rest, "most": most}
        self.installation.sql(PLANT, values)
        self.installation.sql("VACUUM (ANALYZE) flags_flagsetting")


def tree_control(installation: Installation, rows: int) -> list[Result]:
    """Measure the deeds of the tree in alternating turns, then plans and undos. Draws docs/undo.svg."""
    with installation.worker():
        results = _deeds(installation, rows)
        results += [_small_plans(installation)]
        return [*results, _undos(installation, rows)]


def _deeds(installation: Installation, rows: int) -> list[Result]:
    (root,) = installation.create_trees(rows)
    plain, mixed = (FlagOnRoot(installation, root, key) for key in ("plain", "mixed"))
    for flag in (plain, mixed):
        flag.set()
    mixed.plant("set", SETS_EVERY, 7)
    mixed.plant("lock", LOCKS_EVERY, 9)
    for flag in (plain, mixed):
        flag.set()  # so that all measure a table that was written before
    installation.sql("VACUUM (ANALYZE) flags_flagstate")
    times: dict[str, list[float]] = {name: [] for name in ("flip", "above settings", "lock", "unlock", "reset", "plan")}
    for number in range(ROUNDS):
        times["flip"].append(plain.set())
        times["above settings"].append(mixed.set())
        times["plan"] += [mixed.plan() for _ in range(PLANS)]
        times["lock"].append(mixed.set(below="lock"))
        times["unlock"].append(mixed.reset())
        mixed.set()
        times["reset"].append(mixed.reset())
        mixed.set()
        say(f"round {number + 1}: " + ", ".join(f"{name} {one[-1]:.2f} s" for name, one in times.items()))
    flip = median(times["flip"])
    names = {
        "above settings": f"flip above {rows // SETS_EVERY:,} settings and {rows // LOCKS_EVERY:,} locks",
        "lock": f"lock of {rows:,}, with the settings", "unlock": f"unlock of {rows:,}, with the settings",
        "reset": f"reset of {rows:,}, with the settings", "plan": f"plan of a set on {rows:,}, with the settings",
    }  # fmt: skip
    return [
        _ratio(what, median(times[name]), flip, 0.3 if name == "plan" else 1.5, times[name])
        for name, what in names.items()
    ]


def _ratio(what: str, seconds: float, flip: float, most: float, details: list[float]) -> Result:
    ratio = seconds / flip
    return Result(
        what, f"{seconds:.3f} s", f"flip without settings {flip:.2f} s", ratio, f"≤ {most:g}", ratio <= most,
        {"seconds": details, "flip": flip},
    )  # fmt: skip


def _small_plans(installation: Installation) -> Result:
    (root,) = installation.create_trees(SMALL_TREE)
    flag = FlagOnRoot(installation, root, "mixed")
    flag.set()
    flag.plant("set", SETS_EVERY, 7)
    flag.plant("lock", LOCKS_EVERY, 9)
    milliseconds = sorted(flag.plan() * 1000 for _ in range(PLANS))
    p50 = median(milliseconds)
    return Result(
        f"plan of a set on {SMALL_TREE:,}", f"p50 {p50:.0f} ms", "100 ms", p50 / 100, "≤ 1", p50 <= 100,
        {"milliseconds": milliseconds},
    )  # fmt: skip


def _undos(installation: Installation, rows: int) -> Result:
    """Undo overwrites: of more and more settings in one tree, and of equally many settings in larger and larger trees.

    The time is that of the request. Its job writes the organizations like the job of any other change.
    """
    by_settings: dict[int, float] = {}
    by_size: dict[int, float] = {}
    for power in range(4, int(math.log10(rows)) + 1):
        (root,) = installation.create_trees(10**power)
        by_size[10**power] = _undo(installation, root, min(UNDONE, 10**power // 10))
    for count in (100, 300, 1000, 3000, 10_000):
        if count <= rows // 10:
            (root,) = installation.create_trees(rows)
            by_settings[count] = _undo(installation, root, count)
    counts = list(by_settings)
    slope = math.log(by_settings[counts[-1]] / by_settings[counts[0]]) / math.log(counts[-1] / counts[0])
    growth = max(by_size.values()) / min(by_size.values())
    _draw(by_settings, by_size)
    return Result(
        f"undo of an overwrite that ended {counts[-1]:,} settings",
        f"{by_settings[counts[-1]] * 1000:.0f} ms; time ~ settings^{slope:.2f}",
        f"{UNDONE:,} settings in trees of {', '.join(f'{size:,}' for size in by_size)}: "
        + ", ".join(f"{seconds * 1000:.0f}" for seconds in by_size.values()) + " ms",
        growth, f"≤ {MOST_GROWTH:g} ×, slope ≤ 1", growth <= MOST_GROWTH and slope <= 1.05,
        {"by_settings": by_settings, "by_size": by_size},
    )  # fmt: skip


def _undo(installation: Installation, root: int, count: int) -> float:
    """Overwrite `count` settings below the root, and undo that. Returns the seconds of the undo's request, the median.

    The undo brings the settings back, so that the next round overwrites them again.
    """
    flag = FlagOnRoot(installation, root, "undo")
    flag.set()
    flag.plant("set", 7, 3, count)
    seconds = []
    for _ in range(ROUNDS):
        flag.set(below="overwrite")
        assert flag.answer["settingsEnded"] == count, flag.answer
        flag.send("POST", f"/v1/changes/{flag.answer['changeNumber']}/undo", {})
        seconds.append(flag.accepted)
    assert installation.sql(COUNT, [root])[0][0] >= count
    return median(seconds)


def _draw(by_settings: dict[int, float], by_size: dict[int, float]) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), facecolor="white", sharey=True)
    for plot, figures in ((left, by_settings), (right, by_size)):
        plot.loglog(figures.keys(), [seconds * 1000 for seconds in figures.values()], "o-", label="POST …/undo")
        plot.set(ylabel="milliseconds", ylim=(1, None))
    last = max(by_settings)
    linear = [by_settings[last] * 1000 * count / last for count in by_settings]
    left.loglog(by_settings.keys(), linear, "--", color="gray", label="linear")
    left.set(xlabel="settings that the overwrite has ended", title=f"A tree of {max(by_size):,}")
    left.legend()
    right.set(xlabel="organizations in the tree", title=f"{UNDONE:,} settings")
    figure.tight_layout()
    figure.savefig(PICTURE, metadata={"Date": None})
