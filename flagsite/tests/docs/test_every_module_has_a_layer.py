"""Import contracts are exhaustive: a module that no layer of `.importlinter` names fails here."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
CONTRACTS = ("flagsite", "flagsite.core", "orgs", "jobs", "flags")
"""The contracts of type layers that name the modules of one package each."""


@pytest.mark.parametrize("package", CONTRACTS)
def test_each_module_of_a_package_has_exactly_one_layer(package: str) -> None:
    named = _named_in_contract(package)
    modules = _modules_of(package)
    without = [module for module in modules if not any(_is_at_or_below(module, one) for one in named)]
    assert without == [], f"Give each a layer in .importlinter, contract {package}."
    gone = [
        one for one in named if one not in CONTRACTS and not any(_is_at_or_below(module, one) for module in modules)
    ]
    assert gone == [], "These layers name no module."


def test_the_scan_finds_a_module_without_a_layer() -> None:
    assert _is_at_or_below("jobs.engine.run", "jobs.engine")
    assert not _is_at_or_below("jobs.engines", "jobs.engine")


def _named_in_contract(package: str) -> list[str]:
    contracts = ConfigParser()
    contracts.read(ROOT / ".importlinter")
    layers = contracts[f"importlinter:contract:{package}"]["layers"]
    return [name.strip() for line in layers.split("\n") for name in line.replace("|", ":").split(":") if name.strip()]


def _modules_of(package: str) -> list[str]:
    """Every module below the package, without tests, migrations and packages that hold nothing but modules."""
    found = []
    for path in (ROOT / package.replace(".", "/")).rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if {"tests", "migrations"} & set(parts) or (path.name == "__init__.py" and _is_empty(path)):
            continue
        name = ".".join(parts).removesuffix(".__init__")
        if name != package and not (package == "flagsite" and _is_at_or_below(name, "flagsite.core")):
            found.append(name)
    return sorted(found)


def _is_empty(path: Path) -> bool:
    text = path.read_text().strip()
    return not text or (text.startswith('"""') and text.endswith('"""') and text.count('"""') == 2)


def _is_at_or_below(module: str, layer: str) -> bool:
    return module == layer or module.startswith(f"{layer}.")
