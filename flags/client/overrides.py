"""Fixing flags for tests, without a database."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from types import FunctionType
from typing import Any, TypeVar

from asgiref.sync import iscoroutinefunction

from flags.evaluation.reasons import Reason, word
from flags.values.conversion import type_of
from flags.values.types import FlagType

Target = TypeVar("Target", bound=Callable[..., Any])
METHODS = (FunctionType, staticmethod, classmethod)


@dataclass(frozen=True, slots=True)
class Fixed:
    """What a test says of a flag. It is read like a `flags.serving.resolution.Resolution`."""

    enabled: bool
    value: Any
    variant: str
    flag_type: FlagType

    @property
    def reason(self) -> Reason:
        """Nothing but the test has decided. Off without a value is like a killed flag."""
        return Reason.DISABLED if self.value is None else Reason.STATIC

    @property
    def metadata(self) -> dict[str, Any]:
        """Nothing: no rule has decided."""
        return {}


@dataclass(frozen=True, slots=True)
class Layer:
    """The fixed flags, by their keys, and the layer below."""

    values: dict[str, Fixed]
    below: Layer | None


layers: ContextVar[Layer | None] = ContextVar("flags_overridden", default=None)


class override_flag:  # noqa: N801 - used as a function
    """Fix a flag for the block, the function, the coroutine function, or the test methods of the class.

    Without a `value` the flag is boolean. A `value` is that of a flag of its type, which is on; `variant` is its key.
    `override_flag("button-color", False, value="#000")` is a flag that is off, with an off variant.

    The flag need not exist. Overrides nest, and the innermost counts. Other threads, and tasks that began before, do
    not see it. The object has no state, so it may be used many times, also at once.
    """

    def __init__(
        self,
        name: str,
        enabled: bool = True,  # noqa: FBT002 - override_flag("x", True)
        *,
        value: Any = None,
        variant: str = "",
    ) -> None:
        self.name = name
        self.enabled = enabled
        if value is None:
            self._fixed = Fixed(enabled, enabled, variant or word(enabled), FlagType.BOOLEAN)
        else:
            self._fixed = Fixed(enabled, value, variant, type_of(value))

    def __enter__(self) -> None:
        below = layers.get()
        layers.set(Layer({**(below.values if below else {}), self.name: self._fixed}, below))

    def __exit__(self, *_: object) -> None:
        top = layers.get()
        layers.set(top.below if top else None)

    def __call__(self, target: Target) -> Target:
        """The target, with the flag fixed while it runs.

        Raises TypeError for a generator function, which runs when its results are fetched, and for a class without
        test methods.
        """
        if isinstance(target, type):
            return self._of_class(target)
        if inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
            where = f"with override_flag({self.name!r}, {self.enabled}) inside"
            raise TypeError(f"{target.__qualname__} is a generator function; write {where}.")
        if iscoroutinefunction(target):

            @functools.wraps(target)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await target(*args, **kwargs)

            return awaited  # type: ignore[return-value]

        @functools.wraps(target)
        def called(*args: Any, **kwargs: Any) -> Any:
            with self:
                return target(*args, **kwargs)

        return called  # type: ignore[return-value]

    def _of_class(self, target: Target) -> Target:
        """Wrap the test methods of the class, inherited ones too; the classes they are from stay as they are."""
        found = {name: inspect.getattr_static(target, name) for name in dir(target) if name.startswith("test")}
        methods = {name: method for name, method in found.items() if isinstance(method, METHODS)}
        if not methods:
            raise TypeError(f"{target.__qualname__} has no test methods.")
        for name, method in methods.items():
            if isinstance(method, FunctionType):
                setattr(target, name, self(method))
            else:
                setattr(target, name, type(method)(self(method.__func__)))
        return target
