"""Make `.venv` if it is missing or outdated, then run its Python with our arguments. Standard library only."""

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
    """Replace this process by the environment's Python, with everything installed that it needs."""
    level = "local"
    if arguments[:1] == ["--dev"]:
        level, arguments = "dev", arguments[1:]
    if not is_current(level):
        try:
            make_current(level)
        except subprocess.CalledProcessError as error:
            sys.exit(f"{error.output or ''}\nFlagsite: could not set up {VENV}; the lines above say why.")
    os.environ.pop("PYTHONHOME", None)
    # Container images like to set it; each of our processes would then compile all code of ours at its start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.execv(PYTHON, [str(PYTHON), *arguments])


def is_current(level: str) -> bool:
    """Whether the environment holds exactly what the requirement files ask for, for this Python."""
    complete = [name for name in REQUIREMENTS if stamp(name).is_file() and stamp(name).read_text() == wanted(name)]
    return PYTHON.exists() and (level in complete or "dev" in complete)


def stamp(level: str) -> Path:
    """The file that is written once a level is installed completely."""
    return VENV / f"installed-{level}"


def wanted(level: str) -> str:
    """What the stamp of an up-to-date environment says."""
    digest = hashlib.sha256(REQUIREMENTS[level].read_bytes()).hexdigest()
    return f"Python {sys.version_info.major}.{sys.version_info.minor}, {REQUIREMENTS[level].name} {digest}\n"


def make_current(level: str) -> None:
    """Install what is missing; of two commands at once the second waits for the first, and finds it done."""
    end_in_order()
    lock = os.open(ROOT / "bin", os.O_RDONLY)  # the folder itself serves as the lock file
    fcntl.flock(lock, fcntl.LOCK_EX)
    fcntl.fcntl(lock, fcntl.F_SETFD, 0)  # inherited: whoever writes holds it too, should it outlive us
    if not is_current(level):
        began = time.monotonic()
        print(f"Flagsite: installing the pinned requirements into {VENV} ...", file=sys.stderr, flush=True)
        if not is_sound():
            run(getattr(sys, "_base_executable", sys.executable), "-m", "venv", "--clear", str(VENV))
        install(REQUIREMENTS[level])
        stamp(level).write_text(wanted(level))
        print(f"Flagsite: installed in {time.monotonic() - began:.0f} s.", file=sys.stderr, flush=True)
    os.close(lock)


def is_sound() -> bool:
    """Whether an earlier environment can be kept: it was completed once, and its Python is ours and starts."""
    version = f"Python {sys.version_info.major}.{sys.version_info.minor},"
    if not any(stamp(level).is_file() and stamp(level).read_text().startswith(version) for level in REQUIREMENTS):
        return False
    return subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0


def install(requirements: Path) -> None:
    """Install the file's exact versions, each checked against its hash: by uv, which is fast, or else by pip."""
    for outdated in VENV.glob("installed-*"):
        outdated.unlink()
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--require-hashes"]
    uv = [str(VENV / "bin" / "uv"), "--quiet", "pip", "install", "--require-hashes", "--python", str(PYTHON)]
    uv.append("--system-certs")  # as pip does: behind a company's proxy its certificate is only there
    if not HAS_HOME:  # then neither shall make one for its cache
        pip.append("--no-cache-dir")
        uv.append("--no-cache")
    try:
        install_uv(pip)
        run(*uv, "-r", str(requirements))
    except (subprocess.CalledProcessError, OSError):
        run(*pip, "-r", str(requirements))


def install_uv(pip: list[str]) -> None:
    """Install the one version of uv that requirements-dev.txt pins."""
    pinned = re.search(r"^uv==(?:.*\\\n)+.*", REQUIREMENTS["dev"].read_text(), re.MULTILINE)
    if pinned is None:
        raise OSError("requirements-dev.txt pins no uv")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(pinned[0])
        file.flush()
        run(*pip, "--no-deps", "-r", file.name)


def run(*command: str) -> None:
    """Run to its end without a word; raises CalledProcessError with the output in it. What ends us ends it too."""
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        close_fds=False,  # it holds the lock as well
        start_new_session=True,
    )
    try:
        output, _ = child.communicate()
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # with what it has started
        child.wait()
        raise
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command, output)


def end_in_order() -> None:
    """Turn the signals that ask for our end into SystemExit, so that `run` can end what it has started."""

    def leave(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
            signal.signal(number, leave)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
