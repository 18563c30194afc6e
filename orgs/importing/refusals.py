"""The lines of a file that cannot be imported, with their problems."""

from __future__ import annotations

from orgs.errors import ImportRefused, RefusedLine

MAX_QUOTED_LENGTH = 60


class Refusals:
    """The lines that cannot be imported, with their problems.

    All of them are counted, but only the first MAX_KEPT are kept, so that a wrong file cannot fill the memory.
    """

    MAX_KEPT = 100_000

    def __init__(self) -> None:
        self.kept: list[RefusedLine] = []
        self.count = 0
        self.advice = ""
        """A sentence about a way out, if all problems have the same."""

    def copy(self) -> Refusals:
        """Return the same refused lines as another object."""
        same = Refusals()
        same.kept, same.count, same.advice = [*self.kept], self.count, self.advice
        return same

    def add(self, line: int, problem: str) -> None:
        """Refuse a line."""
        self.count += 1
        if len(self.kept) < self.MAX_KEPT:
            self.kept.append(RefusedLine(line, problem))

    def raise_if_any(self) -> None:
        """Raise ImportRefused if a line was refused, with the lines in the order of the file."""
        if self.count:
            raise ImportRefused(lines=sorted(self.kept), count=self.count, advice=self.advice)


def refuse_file(line: int, problem: str) -> ImportRefused:
    """Return the error for a file whose rest cannot be read because of one line."""
    return ImportRefused(lines=[RefusedLine(line, problem)], count=1)


def quoted(text: str) -> str:
    """Return the text in quotes, in one line and short enough for a message."""
    return repr(text if len(text) <= MAX_QUOTED_LENGTH else f"{text[:MAX_QUOTED_LENGTH]}…")
