"""No text that a client sends can keep a regular expression of the product busy."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator

from flagsite.tests.web_server.expressions import ROOT, Expression, expressions

LENGTH = 100_000
DEADLINE_SECONDS = 20
"""For one text. A linear expression needs milliseconds, and a quadratic one a minute."""
INTERESTING = " \n\t\x00:/@.,;-_+=%#&?'\"()[]{}<>|\\*$^~`!aZ09é"
RUN = """
import json, re, signal, sys
for where, pattern, flags, is_searched, texts in json.load(sys.stdin):
    expression = re.compile(pattern.encode("latin-1") if flags & 1 << 20 else pattern, flags & ~(1 << 20))
    methods = [expression.fullmatch, expression.match]
    if is_searched:
        methods += [expression.search, lambda text: expression.sub("" if isinstance(text, str) else b"", text)]
    for begin, repeated, end in texts:
        text = begin + repeated * (100_000 // len(repeated)) + end
        text = text.encode("utf-8") if flags & 1 << 20 else text
        print(where, repr(pattern), repr((begin, repeated, end)), flush=True)
        signal.alarm(DEADLINE)  # which ends this process
        for method in methods:
            method(text)
print("all")
"""
BYTES = 1 << 20
"""A mark in the flags of an expression for bytes."""


def hostile_texts(pattern: str) -> Iterator[tuple[str, str, str]]:
    """A beginning, what is repeated, and an end that the expression does not expect."""
    own = sorted(set(re.sub(r"\\[a-zA-Z]|[\[\](){}?*+|^$\\]", "", pattern)))
    letters = [
        letter for letter in dict.fromkeys([*own, *INTERESTING]) if letter.isprintable() or letter in " \n\t\x00"
    ]
    literal = next(iter(sorted(re.findall(r"[A-Za-z0-9:/._ -]{2,}", pattern), key=len, reverse=True)), "")
    for letter in letters[:36]:
        yield "", letter, "\x01"
        yield "x://", letter, "\x01"
        if literal:
            yield literal, letter, "\x01"
    for pair in (f"{one}{two}" for one in own[:5] for two in own[:5] if one != two):
        yield "", pair, "\x01"
    if literal:
        yield "", literal, "\x01"


def test_every_expression_of_the_product_is_done_with_100_kb_of_hostile_text_at_once() -> None:
    cases = [_case(one) for one in dict.fromkeys(expressions())]
    assert len(cases) > 30
    program = RUN.replace("DEADLINE", str(DEADLINE_SECONDS))
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, input=json.dumps(cases), capture_output=True, text=True, check=False
    )
    assert done.stdout.endswith("all\n"), done.stdout[-300:] + done.stderr


def _case(expression: Expression) -> tuple[str, str, int, bool, list[tuple[str, str, str]]]:
    pattern, flags = expression.pattern, expression.flags
    if isinstance(pattern, bytes):
        pattern, flags = pattern.decode("latin-1"), flags | BYTES
    return expression.where, pattern, flags, expression.is_searched, list(hostile_texts(pattern))
