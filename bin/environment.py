"""Create or update `.venv` if necessary, then run its Python. This module uses only the standard library."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
HAS_HOME = Path.home().is_dir()
REQUIREMENTS = {"local": ROOT / "requirements-local.txt", "dev": ROOT / "requirements-dev.txt"}


def main(arguments: list[str]) -> None:
    """Replace this process by the Python of `.venv`, after installing the requirements if necessary."""
    level = "local"
    if arguments[:1] == ["--dev"]:
        level, arguments = "dev", arguments[1:]
    if not is_current(level):
        try:
            make_current(level)
        except subprocess.CalledProcessError as error:
            sys.exit(f"{error.output or ''}\nFlagsite: {VENV} could not be set up. The lines above have the reason.")
    os.environ.pop("PYTHONHOME", None)
    # Some container images set it. Then each process would compile all modules of Flagsite when it starts.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.execv(PYTHON, [str(PYTHON), *arguments])


def is_current(level: str) -> bool:
    """Whether `.venv` has exactly the pinned requirements of `level`, for this version of Python."""
    complete = [
        name for name in REQUIREMENTS if stamp(name).is_file() and stamp(name).read_text() == expected_stamp(name)
    ]
    return PYTHON.exists() and (level in complete or "dev" in complete)


def stamp(level: str) -> Path:
    """The file that marks a level, "local" or "dev", as completely installed."""
    return VENV / f"installed-{level}"


def expected_stamp(level: str) -> str:
    """The content of the stamp if `.venv` is up to date."""
    digest = hashlib.sha256(REQUIREMENTS[level].read_bytes()).hexdigest()
    return f"Python {sys.version_info.major}.{sys.version_info.minor}, {REQUIREMENTS[level].name} {digest}\n"


def make_current(level: str) -> None:
    """Install the requirements of `level`. If two commands do so at the same time, the second waits for the first."""
    exit_on_signals()
    lock = os.open(ROOT / "bin", os.O_RDONLY)  # the folder itself serves as the lock file
    fcntl.flock(lock, fcntl.LOCK_EX)
    fcntl.fcntl(
        lock, fcntl.F_SETFD, 0
    )  # inherited, so that the installer holds the lock even if this process is killed
    if not is_current(level):
        began = time.monotonic()
        print(f"Flagsite: installing the pinned requirements into {VENV} ...", file=sys.stderr, flush=True)
        if not is_sound():
            run(getattr(sys, "_base_executable", sys.executable), "-m", "venv", "--clear", str(VENV))
        install(REQUIREMENTS[level])
        stamp(level).write_text(expected_stamp(level))
        print(f"Flagsite: installed in {time.monotonic() - began:.0f} s.", file=sys.stderr, flush=True)
    os.close(lock)


def is_sound() -> bool:
    """Whether the existing `.venv` can be kept: it was complete once, and its Python has this version and starts."""
    version = f"Python {sys.version_info.major}.{sys.version_info.minor},"
    if not any(stamp(level).is_file() and stamp(level).read_text().startswith(version) for level in REQUIREMENTS):
        return False
    return subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0


def install(requirements: Path) -> None:
    """Install the exact versions of the file and check their hashes: with uv, which is fast, or otherwise with pip."""
    for outdated in VENV.glob("installed-*"):
        outdated.unlink()
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--require-hashes"]
    uv = [str(VENV / "bin" / "uv"), "--quiet", "pip", "install", "--require-hashes", "--python", str(PYTHON)]
    uv.append("--system-certs")  # as pip does: the certificate of a company's proxy is only there
    if not HAS_HOME:  # without it, pip and uv have no folder for a cache
        pip.append("--no-cache-dir")
        uv.append("--no-cache")
    try:
        install_uv(pip)
        run(*uv, "-r", str(requirements))
    except (subprocess.CalledProcessError, OSError):
        run(*pip, "-r", str(requirements))


def install_uv(pip: list[str]) -> None:
    """Install the version of uv that requirements-dev.txt pins."""
    pinned = re.search(r"^uv==(?:.*\\\n)+.*", REQUIREMENTS["dev"].read_text(), re.MULTILINE)
    if pinned is None:
        raise OSError("requirements-dev.txt has no pinned version of uv")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(pinned[0])
        file.flush()
        run(*pip, "--no-deps", "-r", file.name)


def run(*command: str) -> None:
    """Run a command without output; it ends with this process. Raises CalledProcessError, with the output."""
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        close_fds=False,  # the child holds the lock as well
        start_new_session=True,
    )
    try:
        output, _ = child.communicate()
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # the child and its own children
        child.wait()
        raise
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command, output)


def exit_on_signals() -> None:
    """Turn signals that end this process into SystemExit, so that `run` can end its child."""

    def leave(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, leave)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
