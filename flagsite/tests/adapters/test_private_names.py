"""Private names of libraries stand in adapters only, and each adapter was checked against the installed version."""

from __future__ import annotations

import ast
import subprocess
from importlib import import_module, metadata
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

import pytest
from django.conf import settings

from flagsite.core import adapters

ADAPTERS = [import_module(f"{adapters.__name__}.{found.name}") for found in iter_modules(adapters.__path__)]
DOCUMENTED = {"_meta", "_state", "_default_manager", "_fields", "_replace"}
"""Names with an underscore that the documentation of Django and of Python's named tuples describes."""


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.__name__.rpartition(".")[2])
def test_an_adapter_was_checked_against_the_installed_version(adapter: ModuleType) -> None:
    assert metadata.version(adapter.DISTRIBUTION) == adapter.CHECKED_VERSION, (
        f"{adapter.DISTRIBUTION} has another version than {adapter.__file__} was checked against: do what its "
        "docstring says, then change CHECKED_VERSION."
    )
    assert "At an upgrade check: " in " ".join((adapter.__doc__ or "").split())


def test_no_library_has_two_adapters() -> None:
    distributions = [adapter.DISTRIBUTION for adapter in ADAPTERS]
    assert len(distributions) == len(set(distributions)) >= 6


def test_private_names_that_no_module_of_ours_defines_are_used_by_adapters_only() -> None:
    """ruff's SLF001 looks at other objects' names; this looks also at what a class inherits from a library."""
    sources = {path: ast.parse(path.read_text()) for path in _our_modules()}
    defined = {name for source in sources.values() for name in _defined(source)}
    used = {
        (str(path.relative_to(settings.BASE_DIR)), node.attr)
        for path, source in sources.items()
        for node in ast.walk(source)
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("__")
    }
    foreign = {(path, name) for path, name in used if name not in defined | DOCUMENTED}
    assert {path for path, _ in foreign if not path.startswith("flagsite/core/adapters/")} == set()
    assert {name for _, name in foreign} >= {"_buckets", "_connparams", "_mptt_cached_fields"}


def _our_modules() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=settings.BASE_DIR, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    paths = [settings.BASE_DIR / name for name in listed if "/tests/" not in name]
    return [path for path in paths if path.exists()]


def _defined(source: ast.Module) -> set[str]:
    """Every name that the module gives to something of its own, at any depth."""
    found = set()
    for node in ast.walk(source):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            found.add(node.attr)
    return found
