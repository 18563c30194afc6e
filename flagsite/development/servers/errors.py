"""What the servers' users may have to tell a person."""

from __future__ import annotations


class ServerError(Exception):
    """An embedded server, or a process of ours, does not do what it should; the message says what to do."""
