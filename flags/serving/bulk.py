"""All flags' entries for one request, laid out so that a user costs one hash for each rollout and next to nothing else.

Between two flags that depend on the user, everything is text that is known beforehand; it is kept at the end of the
flag before it, once for each way in which that flag can come out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flags.serving.memory import View
from flags.serving.outcomes import Answer, Rollout, Settled, Whitelisted

ByHash = tuple[Callable[[bytes], int], bytes, int, bytes, bytes]
"""A rollout: its hash, what is hashed before the unit, below what it is on, and its text when it is off and on."""
OPENING, CLOSING = b'{"flags":[', b"],"
"""What the flags are within; what follows them is about the answer as a whole."""


class Bulk:
    """The flags of a bulk answer in JSON, for organizations with the same states in one environment."""

    __slots__ = ("_answers", "_head", "_listed", "_stretches")

    def __init__(self, answers: Sequence[Answer]) -> None:
        """`answers` has those of all flags, in the order of their keys."""
        self._answers = answers
        self._listed = frozenset[str]().union(*(one.users for one in answers if isinstance(one, Whitelisted)))
        self._head = b""
        self._stretches: list[tuple[list[ByHash], Answer | None, bytes]] = []
        self._lay_out()

    def parts(self, view: View, key: str, unit: bytes) -> list[bytes]:
        """The answer up to and with CLOSING, in parts; `key` is the targeting key, `unit` the same in UTF-8."""
        if not unit or key in self._listed:
            return [OPENING, b",".join([answer.decide(view, key, unit).json for answer in self._answers]), CLOSING]
        parts = [self._head]
        for rollouts, other, text in self._stretches:
            parts += [on if hash_32(prefix + unit) < limit else off for hash_32, prefix, limit, off, on in rollouts]
            if other is not None:
                parts += (other.decide(view, key, unit).json, text)
        return parts

    def _lay_out(self) -> None:
        """From the last flag to the first, since text that follows a flag is to be known with it.

        A stretch is a run of rollouts by user and then, perhaps, a flag that has to be asked, with the text behind it.
        """
        rollouts: list[ByHash] = []
        other: Answer | None = None
        behind, text = CLOSING, b""  # `behind` follows what is looked at, `text` follows `other`
        for place in range(len(self._answers) - 1, -1, -1):
            answer = self._answers[place]
            if isinstance(answer, Whitelisted):
                answer = answer.others  # whoever is on a list is not answered from here
            comma = b"," if place else b""
            if isinstance(answer, Settled):
                behind = comma + answer.outcome.json + behind
            elif type(answer) is Rollout:
                off, on = (comma + one.json + behind for one in (answer.outside, answer.inside))
                rollouts.insert(0, (answer.hash, answer.prefix, answer.limit, off, on))
                behind = b""
            else:
                self._stretches.insert(0, (rollouts, other, text))
                rollouts, other, text, behind = [], answer, behind, comma
        self._stretches.insert(0, (rollouts, other, text))
        self._head = OPENING + behind
