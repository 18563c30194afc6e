"""Fixing flags for tests, without a database."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

Target = TypeVar("Target", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Layer:
    """What is fixed, by the flags' keys, and what was before."""

    values: dict[str, bool]
    below: Layer | None


layers: ContextVar[Layer | None] = ContextVar("flags_overridden", default=None)


class override_flag:  # noqa: N801 - used as a function
    """Fix a flag for the block, the function, the coroutine function, or the test methods of the class.

    It need not exist. Overrides nest, the innermost counts; other threads and tasks that began before see nothing of
    it. The object has no state, so that one may serve many times, also at once.
    """

    def __init__(self, name: str, enabled: bool = True) -> None:  # noqa: FBT002 - override_flag("x", True)
        self.name = name
        self.enabled = enabled

    def __enter__(self) -> None:
        below = layers.get()
        layers.set(Layer({**(below.values if below else {}), self.name: self.enabled}, below))

    def __exit__(self, *_: object) -> None:
        top = layers.get()
        layers.set(top.below if top else None)

    def __call__(self, target: Target) -> Target:
        """The target, with the flag fixed while it runs."""
        if isinstance(target, type):
            for name, method in list(vars(target).items()):
                if name.startswith("test") and callable(method):
                    setattr(target, name, self(method))
            return target
        if inspect.iscoroutinefunction(target):

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
