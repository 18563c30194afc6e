"""The words of docs/glossary.md are the words of the code, and the words that it rejects name nothing there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "glossary.md"
APPS = ("flagsite", "flags", "jobs", "orgs")
KEPT_NAMES = "Names on the wire that stay"
MEANING = re.compile(r"\(.*\)")
"""A rejected word with a meaning in parentheses is right in other meanings, which only a reader can tell apart."""
PARTS_OF_A_NAME = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def rows(text: str) -> Iterator[list[str]]:
    """The cells of each table row of a page, without headings and rules."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and not set(cells[0]) <= {"-", " "} and cells[0] not in {"term", "name"}:
            yield cells


TERMS, _, KEPT = PAGE.read_text().partition(f"## {KEPT_NAMES}")
MEANINGS = {cells[0]: cells[1:] for cells in rows(TERMS)}
REJECTED = sorted({word for _, avoid in MEANINGS.values() for word in avoid.split(", ") if word})
KEPT_WORDS = {
    name.rpartition(".")[2].lower() for cells in rows(KEPT) for name in re.findall(r"`([^`]+)`", " ".join(cells[:2]))
}


def product_modules() -> list[Path]:
    return [
        path
        for app in APPS
        for path in sorted((ROOT / app).rglob("*.py"))
        if not {"tests", "migrations", ".data"} & set(path.relative_to(ROOT).parts)
    ]


@cache
def written() -> str:
    """All product code and all documents but the glossary."""
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    return "\n".join(path.read_text() for path in [*product_modules(), *documents] if path != PAGE)


def plurals(word: str) -> set[str]:
    return {word, f"{word}s", f"{word}es"} | ({f"{word[:-1]}ies"} if word.endswith("y") else set())


def pattern_of(term: str) -> re.Pattern[str]:
    """Finds a term as text or as a name: "flag state", "flag_states", "FlagState"."""
    *words, last = term.split()
    return re.compile(r"[\s_-]*".join([*words, f"(?:{'|'.join(plurals(last))})"]), re.IGNORECASE)


def names_in(source: str) -> Iterator[tuple[int, str]]:
    """Every class, function, parameter and variable that a module defines, with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def says(name: str, word: str) -> bool:
    """Whether one of the words that a name is made of is the rejected one, in the singular or the plural."""
    parts = {part.lower() for part in PARTS_OF_A_NAME.findall(name)}
    return bool(parts & plurals(word)) and name.lower() not in KEPT_WORDS


def named(word: str) -> Iterator[str]:
    """The places where product code defines a name with this word in it."""
    for path in product_modules():
        place = str(path.relative_to(ROOT))
        if any(says(part, word) for part in path.relative_to(ROOT).with_suffix("").parts):
            yield place
        yield from (f"{place}:{line} {name}" for line, name in names_in(path.read_text()) if says(name, word))


def test_the_page_has_terms_and_rejected_words() -> None:
    assert len(MEANINGS) > 50
    assert len(REJECTED) > 10
    assert KEPT_WORDS


@pytest.mark.parametrize("term", MEANINGS)
def test_each_term_occurs_in_code_or_documents(term: str) -> None:
    assert pattern_of(term).search(written())


@pytest.mark.parametrize("term", MEANINGS)
def test_a_meaning_is_one_sentence(term: str) -> None:
    meaning = MEANINGS[term][0]
    assert meaning.endswith(".")
    assert not re.search(r"[.;!?] ", meaning), meaning


@pytest.mark.parametrize("word", [word for word in REJECTED if not MEANING.search(word)])
def test_no_name_in_the_code_has_a_rejected_word(word: str) -> None:
    places = list(named(word))
    assert not places, "\n".join(places)


def found(source: str, word: str) -> Iterable[str]:
    return [name for _, name in names_in(source) if says(name, word)]


def test_the_search_for_names_finds_what_it_should_find() -> None:
    source = "class OldDeed: pass\ndef do_deeds(deed_id): self.tally = DEED = 1\nindeed = 2\n"
    assert sorted(found(source, "deed")) == ["DEED", "OldDeed", "deed_id", "do_deeds"]
    assert found(source, "tally") == ["tally"]
    assert found("tallies = HTTPTally = 1", "tally") == ["tallies", "HTTPTally"]
