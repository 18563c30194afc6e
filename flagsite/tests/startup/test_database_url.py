"""What DATABASE_URL says, and what Flagsite adds to it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flagsite import environment

URL = "postgresql://ada:s%40crt@db.example:6432/flags"


def test_connections_notice_a_server_that_says_nothing_more() -> None:
    options = environment.database(URL)["OPTIONS"]
    assert isinstance(options, dict)
    assert options.items() >= environment.KEEP_ALIVE.items()


@pytest.mark.slow
@pytest.mark.parametrize("application", ["flagsite.wsgi", "flagsite.asgi"])
def test_processes_for_which_people_wait_notice_it_sooner(application: str) -> None:
    program = f"import {application}; from django.conf import settings; print(settings.DATABASES['default']['OPTIONS'])"
    nowhere = {
        **os.environ,
        "FLAGSITE_ENVIRONMENT": "development",
        "DATABASE_URL": "postgresql://ada@127.0.0.1:1/flags",
    }
    root = Path(__file__).resolve().parents[3]
    printed = subprocess.run([sys.executable, "-c", program], cwd=root, env=nowhere, check=True, capture_output=True)
    options = ast.literal_eval(printed.stdout.decode().splitlines()[-1])
    assert options.items() >= environment.SHORT_KEEP_ALIVE.items()


def test_the_url_has_the_last_word() -> None:
    options = environment.database(f"{URL}?keepalives_idle=60&sslmode=require")["OPTIONS"]
    assert isinstance(options, dict)
    assert (options["keepalives_idle"], options["sslmode"]) == ("60", "require")
