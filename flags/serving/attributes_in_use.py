"""Which attributes of organizations targeting rules read, so that no stream is woken for others."""

from __future__ import annotations

import threading

from django.db import Error, connection

from flags.serving.definition_set import DefinitionSet


class AttributesInUse:
    """The attributes that the rules of any flag read. They are read from the database when somebody asks for them."""

    def __init__(self) -> None:
        self._names: frozenset[str] | None = None
        self._changing = threading.Lock()
        """Held while definitions are read, so that nobody stores those of before a change after it was heard."""

    def include(self, name: str) -> bool:
        """Return whether a rule may read the attribute. While the database is away, a rule may read every attribute."""
        names = self._names
        if names is None:
            names = self._read()
        return names is None or name in names

    def forget(self) -> None:
        """The definitions may have changed."""
        with self._changing:
            self._names = None

    def _read(self) -> frozenset[str] | None:
        with self._changing:
            try:
                self._names = DefinitionSet.load().organization_attributes
            except Error:
                self._names = None
            finally:
                if not connection.in_atomic_block:
                    connection.close()
            return self._names
