"""docs/tutorial.md works as it stands, with a real browser; only ports differ, and the packages are there already."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from flagsite.development.demo.story import FLAG as DEMO_FLAG
from flagsite.tests.crash.installation import CHECKOUT, kill_session
from flagsite.tests.openfeature import javascript_clients
from flagsite.tests.openfeature.served import Served
from orgs.tests.replacing import replaced

pytestmark = pytest.mark.slow
FLAG = "one-page-checkout"
INSTALLATIONS = re.compile(r"^(?:python3 -m venv|shop-environment/bin/pip|npm install) .*\n", re.MULTILINE)


class Reader:
    """Somebody who types the commands of the page into one terminal."""

    def __init__(self, folder: Path, flagsite: Served) -> None:
        text = (CHECKOUT / "docs" / "tutorial.md").read_text()
        text = replaced(text, "http://127.0.0.1:8000", flagsite.url)
        self.text = replaced(INSTALLATIONS.sub("", text), "8010", str(flagsite.page_port))
        manage = folder / "bin" / "manage"
        manage.parent.mkdir()
        manage.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{CHECKOUT}/manage.py" "$@"\n')
        manage.chmod(0o755)
        python = folder / "shop-environment" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')  # by a link, it would not find its packages
        python.chmod(0o755)
        (folder / "node_modules").symlink_to(javascript_clients.installed() / "node_modules")
        self.terminal = subprocess.Popen(
            ["bash"], cwd=folder, env=flagsite.environment | {"PATH": os.environ["PATH"]}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def does(self, step: int) -> str:
        """Type the commands of a step; what the terminal shows."""
        section = self.text[self.text.index(f"\n## {step}. ") + 1 :].partition("\n## ")[0]
        commands = "\n".join(re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL))
        end = uuid.uuid4().hex
        assert self.terminal.stdin is not None
        assert self.terminal.stdout is not None
        self.terminal.stdin.write(f"{commands}\necho; echo {end}\n")
        self.terminal.stdin.flush()
        lines = []
        while (line := self.terminal.stdout.readline()) and line.strip() != end:
            lines.append(line)
        return "".join(lines)


@pytest.fixture
def reader(flagsite: Served, tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path, flagsite)
    with reader.terminal:
        yield reader
        kill_session(reader.terminal)


@pytest.mark.timeout(300)
def test_the_tutorial_from_the_first_step_to_the_last(reader: Reader, flagsite: Served, chromium: Browser) -> None:
    assert "6 organizations created" in reader.does(2)
    reader.does(3)
    assert f'"name":"{FLAG}"' in reader.does(4).replace(" ", "")
    assert "old checkout" in reader.does(5)
    reader.does(6)
    page = chromium.new_page()
    page.goto(f"{flagsite.page_origin}/page")
    page.wait_for_function("document.title === 'old checkout'", timeout=10_000)

    assert reader.does(7).split("\n")[-4:-1] == ["new checkout", "old checkout", ""]
    page.wait_for_function("document.title === 'new checkout'", timeout=10_000)

    assert re.search(r" ([1-9]|1\d|2\d) new checkout", reader.does(8))
    page.wait_for_function("document.title === 'new checkout'", timeout=10_000)

    assert "old checkout" in reader.does(9)
    assert flagsite.get(f"/v1/feature-flags/{FLAG}").json()["killed"] is False
    answers = reader.does(10)
    assert "is locked by the organization Acme (acme)" in answers
    assert re.findall("(?:old|new) checkout$", answers, re.MULTILINE) == [
        "old checkout", "new checkout", "old checkout", "new checkout", "new checkout",
    ]  # fmt: skip
    assert re.search(r"acme \(id \d+\).*locked off", answers)
    colors = reader.does(11)
    assert re.findall("^[a-z]+ #[0-9a-f]{3}$", colors, re.MULTILINE) == [
        "blue #00f", "red #f00", "red #f00", "custom #0a0",
    ]  # fmt: skip
    assert "A variant cannot be removed while it is used: 'red' by the targeting rule 'rule-1'" in colors
    reader.does(12)
    assert flagsite.get(f"/v1/feature-flags/{FLAG}").json()["archived"] is True
    for flag in (FLAG, "checkout-button"):
        assert flagsite.delete(f"/v1/feature-flags/{flag}?purge=true").status_code == 202
    page.close()


def test_the_tutorial_defines_a_flag_that_the_demo_before_it_has_not_set() -> None:
    assert f'"name": "{FLAG}"' in (CHECKOUT / "docs" / "tutorial.md").read_text()
    assert FLAG != DEMO_FLAG


def test_a_project_of_your_own_uses_flags_client_as_the_questions_page_says(flagsite: Served, tmp_path: Path) -> None:
    flagsite.define("own.project", enabled=True)
    (tmp_path / "own_settings.py").write_text(
        'from flagsite.settings import *\nROOT_URLCONF = "own_urls"\n'
        'MIDDLEWARE = [*MIDDLEWARE, "flags.client.middleware.flags_of_request"]\n'
    )
    (tmp_path / "own_urls.py").write_text(
        "from django.http import HttpResponse\nfrom django.urls import include, path\n"
        "from flags.client import is_enabled\n\n\n"
        "def view(request):\n    return HttpResponse(str(is_enabled('own.project', default=False)))\n\n\n"
        "urlpatterns = [path('shop', view), path('', include('flagsite.urls'))]\n"
    )
    program = (
        "import django; django.setup()\nfrom django.test import Client\n"
        "print(Client(headers={'Host': 'localhost'}).get('/shop').content.decode())"
    )
    environment = flagsite.environment | {
        "DJANGO_SETTINGS_MODULE": "own_settings",
        "PYTHONPATH": f"{CHECKOUT}{os.pathsep}{tmp_path}",
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout.strip() == "True"
