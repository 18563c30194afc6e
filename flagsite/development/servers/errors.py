"""The error of the embedded servers and of the supervisor."""

from __future__ import annotations


class ServerError(Exception):
    """An embedded server or a supervised process does not do what it should. The message says what to do."""
