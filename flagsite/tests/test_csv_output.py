"""CSV files of Flagsite: no spreadsheet runs a cell as a formula."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagsite.core.csv_output import csv_lines, harmless


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("=1+1", "'=1+1"),
        ("-5", "'-5"),
        ("＝1", "'＝1"),
        ("\t=1", "'\t'=1"),
        ("Acme;=1+1;@x", "Acme;'=1+1;'@x"),
        ("first\n+1", "first\n'+1"),
        ("first\r\nsecond", "first\r\nsecond"),
        ("off → on; change number: 71", "off → on; change number: 71"),
        ("a-b = c", "a-b = c"),
        (-5, -5),
        (None, None),
    ],
)
def test_an_apostrophe_stands_before_each_formula(value: object, written: object) -> None:
    assert harmless(value) == written


def test_a_file_begins_with_a_mark_for_excel_and_its_columns() -> None:
    assert list(csv_lines(("a", "b"), [("=1", "x,y")])) == ["\ufeffa,b\r\n", '\'=1,"x,y"\r\n']


@given(st.lists(st.text(alphabet="=+@-＝;,\"'a \t\r\n\x1f", max_size=4) | st.integers(-2, 2), min_size=1, max_size=4))
def test_each_cell_of_a_file_is_harmless(row: list[str | int]) -> None:
    wanted = io.StringIO()
    csv.writer(wanted).writerow([harmless(value) for value in row])
    assert list(csv_lines(("a",), [row]))[1:] == [wanted.getvalue()]
