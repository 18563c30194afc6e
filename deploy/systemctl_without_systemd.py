#!/usr/bin/python3
"""Stands in for systemctl where no systemd runs: it starts and stops the units of deploy/systemd and nginx.

`deploy/try_install` puts this file into the copy of a machine as `systemctl`. It reads the real unit files, and knows
only what the commands of docs/operating.md need. It does not apply the units' restrictions.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

UNITS = Path("/etc/systemd/system")
PIDS = Path("/run/units")


def settings_of(unit: Path) -> dict[str, str]:
    """The lines `Name=value` of a unit file; the last one of a name counts."""
    lines = (line.strip() for line in unit.read_text().splitlines())
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def units_of(name: str) -> list[str]:
    """The units that a target wants; for any other unit, the unit itself."""
    return settings_of(UNITS / name)["Wants"].split() if name.endswith(".target") else [name]


def start(unit: str) -> None:
    template, _, instance = unit.removesuffix(".service").partition("@")
    wanted = settings_of(UNITS / f"{template}@.service")
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    for line in Path(wanted["EnvironmentFile"]).read_text().splitlines():
        name, _, value = line.partition("=")
        environment[name] = value
    state = Path("/var/lib") / wanted["StateDirectory"]
    state.mkdir(exist_ok=True)
    subprocess.run(["chown", wanted["User"], str(state)], check=True)
    command = ["setpriv", "--reuid", wanted["User"], "--regid", wanted["Group"], "--clear-groups", "--no-new-privs"]
    with Path(f"/var/log/{unit}.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, *shlex.split(wanted["ExecStart"].replace("%i", instance))],
            cwd=wanted["WorkingDirectory"], env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    PIDS.mkdir(exist_ok=True)
    (PIDS / unit).write_text(str(process.pid))


def stop(unit: str) -> None:
    """Send SIGTERM to the main process, and wait until it has ended."""
    try:
        pid = int((PIDS / unit).read_text())
        os.kill(pid, signal.SIGTERM)
    except (FileNotFoundError, ProcessLookupError):
        return
    end = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2:3]:
        if time.monotonic() > end:
            sys.exit(f"{unit} has not stopped within 60 seconds.")
        time.sleep(0.1)
    (PIDS / unit).unlink()


def main() -> None:
    deed, *names = (argument for argument in sys.argv[1:] if argument != "--now")
    if deed == "daemon-reload":
        return
    if (deed, names) == ("reload", ["nginx"]):
        running = Path("/run/nginx.pid")
        is_running = running.exists() and running.read_text().strip()
        subprocess.run(["nginx", "-s", "reload"] if is_running else ["nginx"], check=True)
        return
    for unit in units_of(names[0]):
        if deed in {"stop", "restart"}:
            stop(unit)
        if deed in {"enable", "start", "restart"}:
            start(unit)


if __name__ == "__main__":
    main()
