"""The login of bin/demo and bin/dev, and the access key of the demo.

The data folder keeps them in files that only their owner may read.
"""

from __future__ import annotations

import io
import json
import os
import secrets
from pathlib import Path

from django.contrib.auth import get_user_model
from django.core.management import call_command

from orgs.access.models import AccessKey

LOGIN = "admin"


def admin_password(folder: Path) -> str:
    """Return the password of the login `admin`. Creates or corrects the login so that the password works."""
    path = folder / "admin-password"
    password = path.read_text().strip() if path.exists() else secrets.token_urlsafe(12)
    _write_secret(path, password)
    user, _ = get_user_model().objects.get_or_create(username=LOGIN)
    if not (user.check_password(password) and user.is_superuser and user.is_active):
        user.is_superuser = user.is_staff = user.is_active = True
        user.set_password(password)
        user.save()
    return password


def access_key(folder: Path) -> str:
    """Return an access key with the role admin: the key of the previous run if it is valid, otherwise a new one."""
    path = folder / "demo-key"
    if path.exists():
        key = path.read_text().strip()
        if AccessKey.objects.is_valid(key):
            return key
    answer = io.StringIO()
    call_command("create_key", "demo", "--role", "admin", "--json", stdout=answer)
    key = str(json.loads(answer.getvalue())["key"])
    _write_secret(path, key)
    return key


def _write_secret(path: Path, secret: str) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(secret + "\n")
    draft.replace(path)
