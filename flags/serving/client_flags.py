"""Which flags concern clients: the process of the event stream knows it, so that no client hears of other flags."""

from __future__ import annotations

import threading

from django.db import Error, connection

from flags.serving.definition_set import DefinitionSet


class ClientFlags:
    """The flags that are available to clients, with those that they need, as they were read last.

    As long as they are not known, every flag may concern clients.
    """

    def __init__(self) -> None:
        self._flag_ids: frozenset[int] | None = None
        self._attributes: frozenset[str] = frozenset()
        """The attributes of organizations that their targeting rules read."""
        self._fingerprint = b""
        self._reading = threading.Lock()
        """Held while definitions are read, so that the last to store them has read the newest."""

    def includes(self, flag_id: int) -> bool:
        """Return whether a value of the flag can change what a client is told."""
        flag_ids = self._flag_ids
        return flag_ids is None or flag_id in flag_ids

    def read(self, attribute: str) -> bool:
        """Return whether an attribute of an organization can change what a client is told."""
        return self._flag_ids is None or attribute in self._attributes

    def know(self) -> None:
        """Read the definitions if they are not known: a client begins to listen."""
        if self._flag_ids is None:
            self.reload()

    def forget(self) -> None:
        """The definitions have changed, and no client listens."""
        self._flag_ids, self._fingerprint = None, b""

    def reload(self) -> bool:
        """Read the definitions after a change. Return whether clients may be told something else than before."""
        with self._reading:
            before = self._fingerprint
            try:
                clients = DefinitionSet.load().clients
            except Error:
                clients = None
            finally:
                if not connection.in_atomic_block:
                    connection.close()
            if clients is None:
                self.forget()
                return True
            self._attributes = clients.definitions.organization_attributes
            self._flag_ids, self._fingerprint = frozenset(clients.flag_ids), clients.definitions.fingerprint
            return self._fingerprint != before
