"""The parts of the result of a batch evaluation: artifacts with a limited number of evaluations each."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from flags.batch_evaluation.formats import MEDIA_TYPES, WRITERS, Block, Writer
from jobs.engine.run import Run

EVALUATIONS_OF_PART = 1_000_000


@dataclass(frozen=True, slots=True)
class Part:
    """A finished part, with what the manifest says of it."""

    name: str
    rows: int
    size: int
    sha256: str


class Parts:
    """Writes evaluations, and begins another part when one is full. As a context manager it ends the last one."""

    def __init__(self, run: Run, file_format: str) -> None:
        self._run = run
        self._format = file_format
        self._open = ExitStack()
        self._writer: Writer | None = None
        self._rows = 0
        self.finished: list[Part] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._end()
        else:
            self._open.__exit__(kind, error, trace)

    def write(self, block: Block) -> None:
        """Write some evaluations."""
        if self._writer is None:
            self._begin()
        if self._writer is not None:
            self._writer.write(block)
        self._rows += len(block[2])
        if self._rows >= EVALUATIONS_OF_PART:
            self._end()

    def _begin(self) -> None:
        name = f"part-{len(self.finished) + 1:05}.{self._format}"
        file = self._open.enter_context(self._run.artifact(name, MEDIA_TYPES[self._format]))
        self._writer = WRITERS[self._format](file)

    def _end(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        self._open.close()
        written = self._run.artifacts[-1]
        self.finished.append(Part(written.name, self._rows, written.size, written.sha256))
        self._writer, self._rows = None, 0
