"""The backend, under the name that Django looks for (a subclass of a built-in backend, as Django documents it)."""

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql import base

from flagsite.core.db.database_watch import of_this_process


class DatabaseWrapper(base.DatabaseWrapper):
    """Connects through the database watch, if this process has one."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect. Raises OperationalError, at once while the database is silent."""
        watch = of_this_process()
        connect = super().get_new_connection
        return connect(conn_params) if watch is None else watch.connect(lambda: connect(conn_params))

    def close(self) -> None:
        """Close the connection, which the watch does not end from now on."""
        watch = of_this_process()
        if watch is not None and self.connection is not None:
            watch.forget(self.connection)
        super().close()
