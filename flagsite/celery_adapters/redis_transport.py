"""A correction to kombu 5.7's Redis transport; without it a broker that dies in the middle of a job ends the worker.

The worker acknowledges the message, or puts it back, on a channel that was closed meanwhile. kombu then fails with
an AttributeError, which nobody expects; as the ConnectionError that it is, Celery logs it and goes on.
"""

from __future__ import annotations

from typing import Any

from kombu.transport.redis import Channel
from redis.exceptions import ConnectionError as BrokerConnectionError


def correct_closed_channels() -> None:
    """Make the use of a closed channel a lost connection."""
    connection_parameters = Channel._connparams  # type: ignore[attr-defined]  # noqa: SLF001 - there is no public place

    def checked(channel: Channel, *args: Any, **kwargs: Any) -> Any:
        if getattr(channel.connection, "client", None) is None:
            raise BrokerConnectionError("The channel is closed.")
        return connection_parameters(channel, *args, **kwargs)

    Channel._connparams = checked  # type: ignore[attr-defined]  # noqa: SLF001
