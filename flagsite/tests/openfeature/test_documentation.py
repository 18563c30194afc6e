"""The examples in docs/openfeature.md work as they stand, but for the address and the key."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from flagsite.tests.crash.installation import CHECKOUT
from flagsite.tests.openfeature import javascript_clients
from flagsite.tests.openfeature.pages import page_served
from flagsite.tests.openfeature.served import NORTH, NORTH_STORE_KEY, Served
from orgs.tests.replacing import replaced

pytestmark = pytest.mark.slow
FLAG = "new-checkout"


@pytest.fixture
def examples(flagsite: Served) -> dict[str, str]:
    """The program under each heading, for the Flagsite of the tests."""
    flagsite.define(FLAG)
    flagsite.switch_and_wait(NORTH, FLAG, on=True)
    page = (CHECKOUT / "docs" / "openfeature.md").read_text()
    found = re.findall(r"^## (\w+)\n[^#]*?^```(?:python|js)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    programs = {}
    for heading, program in found:
        for written, meant in (
            ("https://flagsite.example", flagsite.url),
            ("YOUR.KEY", flagsite.key),
            ("acme-oslo", NORTH_STORE_KEY),
        ):
            program = replaced(program, written, meant)  # noqa: PLW2901
        programs[heading] = program
    return programs


def printed(*command: str, folder: Path) -> str:
    """What the program says."""
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    return done.stdout.strip()


def test_python(examples: dict[str, str], tmp_path: Path) -> None:
    assert printed(sys.executable, "-c", examples["Python"], folder=tmp_path) == "True"


def test_node(examples: dict[str, str]) -> None:
    folder = javascript_clients.installed()

    assert printed("node", "--input-type=module", "--eval", examples["Node"], folder=folder) == "true"


def test_browsers(examples: dict[str, str], flagsite: Served, chromium: Browser, tmp_path: Path) -> None:
    script = tmp_path / "shop.mjs"
    script.write_text(examples["Browsers"])
    javascript_clients.bundled(script, tmp_path / "page.js")
    page = chromium.new_page()
    with page_served(tmp_path, flagsite.page_port):
        page.goto(flagsite.page_origin)
        page.wait_for_function("document.title === 'New checkout'", timeout=5_000)
        flagsite.switch(NORTH, FLAG, on=False)
        page.wait_for_function("document.title === 'Old checkout'", timeout=5_000)
    page.close()
