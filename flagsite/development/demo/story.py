"""What the demo does over HTTP: set a flag at the top, follow the job, read some organizations back."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flagsite.development.demo.api import Api, UnexpectedAnswer
from flagsite.development.demo.screen import Screen

FLAG = "new-checkout"
PATIENCE = 120.0  # seconds for the whole job
PAUSE = 0.1  # seconds between two looks at it
FINAL = {"COMPLETED", "FAILED", "CANCELLED"}
PER_LEVEL = 2  # organizations of each level that the demo reads back


@dataclass(frozen=True)
class Outcome:
    """How the job ended, and whether what was read back is what was set."""

    root: dict[str, Any]
    enabled: bool
    job: dict[str, Any]
    seconds: float
    right: bool

    @property
    def succeeded(self) -> bool:
        """Whether the demo has shown what it promises."""
        return self.right and self.job["chain"]["status"] == "COMPLETED"

    def summary(self) -> dict[str, Any]:
        """The numbers that the demo's last line carries."""
        counts = ("totalOrganizations", "processedOrganizations", "failedOrganizations")
        return {
            "jobId": self.job["id"],
            "status": self.job["chain"]["status"],
            **{name: self.job[name] for name in counts},
            "seconds": round(self.seconds, 3),
        }


def tell(api: Api, screen: Screen, *, root_key: str) -> Outcome:
    """Set the flag to the opposite of what it is, at the root, and see it arrive. Raises UnexpectedAnswer."""
    found = api.get("/organizations", key=root_key)["results"]
    if not found:
        raise UnexpectedAnswer(f"there is no organization with the key {root_key}")
    root = found[0]
    state = api.get_or_none(f"/{root['id']}/{FLAG}")
    enabled = not (state and state["featureFlag"]["enabled"])

    path = f"/{root['id']}/{FLAG}/{str(enabled).lower()}"
    screen.head(f"Switch {FLAG} {'on' if enabled else 'off'} for {root['name']}, and so for everyone below")
    began = time.monotonic()
    accepted = api.post(path)
    screen.line(
        f"POST {path} → 202 Accepted, job {accepted['jobId']}, after {1000 * (time.monotonic() - began):.0f} ms"
    )
    with screen.progress() as show:
        for job in _looks(api, accepted["trackingUrl"]):
            show(
                job["processedOrganizations"] + job["failedOrganizations"],
                job["totalOrganizations"] or 0,
                job["status"],
            )
    seconds = time.monotonic() - began
    _say_how_it_ended(screen, job, seconds)
    right = job["chain"]["status"] == "COMPLETED" and _read_back(api, screen, root, enabled=enabled)
    return Outcome(root, enabled, job, seconds, right)


def _looks(api: Api, tracking_url: str) -> Iterator[dict[str, Any]]:
    """The latest attempt, again and again until the chain has ended or patience has."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        first = api.get(tracking_url)
        latest, has_ended = first["chain"]["latestJobId"], first["chain"]["status"] in FINAL
        # what it said before of its own attempt may be older than what it says of the chain
        yield first if latest == first["id"] and not has_ended else api.get(f"/job-status/{latest}")
        if has_ended:
            return
        time.sleep(PAUSE)


def _say_how_it_ended(screen: Screen, job: dict[str, Any], seconds: float) -> None:
    status = job["chain"]["status"]
    if status == "COMPLETED":
        screen.done(f"{job['status']}: {job['processedOrganizations']:,} organizations have it", seconds)
    else:
        screen.warn(f"job {job['id']} is {status} after {seconds:.1f} s: {job['errorMessage'] or 'no reason given'}")


def _read_back(api: Api, screen: Screen, root: dict[str, Any], *, enabled: bool) -> bool:
    """Ask for the flag of some organizations at each depth; whether all have the value, and from the root."""
    screen.head("Ask some of them")
    organizations = {one["id"]: one for one in api.all_pages(f"/organizations/{root['id']}/descendants")}
    organizations[root["id"]] = root
    all_right = True
    for one in _some_of_each_level(list(organizations.values())):
        state = api.get(f"/{one['id']}/{FLAG}")
        value, source = state["featureFlag"]["enabled"], state["sourceOrganizationId"]
        right = value is enabled and source == root["id"] and state["featureFlag"]["organizationId"] == one["id"]
        all_right = all_right and right
        screen.value(_path(one, organizations), enabled=value, right=right)
    return all_right


def _some_of_each_level(organizations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    chosen = []
    for depth in sorted({one["depth"] for one in organizations}):
        here = [one for one in organizations if one["depth"] == depth]
        chosen += random.sample(here, min(PER_LEVEL, len(here)))
    return chosen


def _path(one: dict[str, Any], organizations: dict[int, dict[str, Any]]) -> list[str]:
    names = [one["name"]]
    while (parent := organizations.get(one["parentId"])) is not None:
        names.insert(0, parent["name"])
        one = parent
    return names
