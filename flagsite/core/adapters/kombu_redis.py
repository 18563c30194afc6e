"""kombu: if the broker dies in the middle of a job, the worker must go on.

Why: the worker acknowledges or returns the message on a channel that is closed by then. kombu then raises
AttributeError, which Celery does not expect. Celery handles a connection error: it logs the error and goes on.

Private name: `Channel._connparams`, which every use of a Redis channel calls for the broker's address.

At an upgrade check: `Channel._connparams` still reads `self.connection.client`, and a closed channel has no client. The
adapter can go once kombu itself raises a connection error there.
"""

from __future__ import annotations

import functools
from typing import Any

from kombu.transport.redis import Channel
from redis.exceptions import ConnectionError as BrokerConnectionError

DISTRIBUTION = "kombu"
CHECKED_VERSION = "5.7.0"


def report_closed_channels_as_lost_connections() -> None:
    """From now on, using a closed channel raises redis' ConnectionError in this process."""
    connection_parameters = Channel._connparams  # type: ignore[attr-defined]

    @functools.wraps(connection_parameters)
    def checked(channel: Channel, *args: Any, **kwargs: Any) -> Any:
        if getattr(channel.connection, "client", None) is None:
            raise BrokerConnectionError("The channel is closed.")
        return connection_parameters(channel, *args, **kwargs)

    Channel._connparams = checked  # type: ignore[attr-defined]
