"""Files that are refused: every line at fault is named, and nothing is changed."""

from __future__ import annotations

import pytest

from conftest import Cast
from orgs.errors import ImportRefused
from orgs.importing import csv_file
from orgs.importing.options import ImportOptions
from orgs.importing.refusals import Refusals
from orgs.tests.trees import import_bytes, paths, refused

HEADER = b"key,name,parent_key\n"
LONG = "x" * 256


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (",A,", "The key is empty."),
        ("a,,", "The name is empty."),
        ("a,  ,", "The name is empty."),
        (f"{LONG},A,", "The key has 256 characters, more than 255."),
        (f"a,{LONG},", "The name has 256 characters, more than 255."),
        (
            " a,A,",
            "The key ' a' is not valid: A key has no control or invisible characters and neither starts nor ends",
        ),
        ("a\x00b,A,", "The key 'a\\x00b' is not valid: A key has no control or invisible characters"),
        ("a\u200bb,A,", "The key 'a\\u200bb' is not valid: A key has no control or invisible characters"),
        ("a,A\x00B,", "The name 'A\\x00B' has control characters."),
        ("a,A\x1bB,", "The name 'A\\x1bB' has control characters."),
        ("a,A, oslo", "The parent_key ' oslo' is not a valid key."),
        (f"a,A,{LONG}", f"The parent_key '{'x' * 60}…' is not a valid key."),
        ("a,A,nobody", "The parent 'nobody' does not exist, neither in the database nor in the file."),
        ("a,A", "It has 2 columns, not 3."),
        ("a,A,,x", "It has 4 columns, not 3."),
        ('a,"A"b,', "It is not CSV: "),
        ('a,"A', "It is not CSV: unexpected end of data."),
        ("a,A,a", "It would be below itself: 'a' below 'a'."),
        ("acme,Acme,oslo", "It would be below itself: 'acme' below 'oslo' below 'north' below 'acme'."),
    ],
)
def test_a_bad_row_is_named_with_its_line_and_reason(cast: Cast, row: str, problem: str) -> None:
    [(line, words)] = refused(HEADER + b"good,Good,oslo\n\n" + row.encode())
    assert line == 4
    assert words.startswith(problem)


def test_all_bad_lines_are_named_in_the_order_of_the_file(cast: Cast) -> None:
    rows = b"x,,y\ny,Y,x\nz,Z\nq,Q,nobody\nq,Q,\nw,\xff,q\nunder_w,U,w\nacme,Acme,rome\n"
    found = refused(HEADER + rows)
    assert [line for line, _ in found] == [2, 2, 3, 4, 5, 6, 7, 9]


def test_the_line_is_the_one_where_the_row_starts(db: None) -> None:
    content = HEADER + b'a,"one\ntwo\r\nthree",\r\nb,"one\n\ntwo",nobody\n\nc,,\n'
    assert [line for line, _ in refused(content)] == [5, 9]


def test_bytes_that_are_not_utf8_are_named_with_their_line(db: None) -> None:
    [(line, words)] = refused(HEADER + b'a,"one\ntw\xe9o\nthree",\nb,B,a\n')
    assert (line, words) == (3, "Byte 3 of the line is not UTF-8.")


def test_a_key_may_stand_only_once(cast: Cast) -> None:
    found = refused(HEADER + b"a,A,c\nnorth,North,acme\na,A,nobody\na,B,\nnorth,North,acme\nb,B,a\nc,C,b\n")
    assert found == [
        (2, "It would be below itself: 'a' below 'c' below 'b' below 'a'."),
        (4, "The key 'a' is already on line 2."),
        (5, "The key 'a' is already on line 2."),
        (6, "The key 'north' is already on line 3."),
        (7, "It would be below itself: 'b' below 'a' below 'c' below 'b'."),
        (8, "It would be below itself: 'c' below 'b' below 'a' below 'c'."),
    ]


def test_each_cycle_is_named_on_the_lines_that_make_it(cast: Cast) -> None:
    rows = b"a,A,b\nb,B,c\nc,C,a\nbelow,Below,a\nnorth,North,south\nsouth,South,oslo\nfine,Fine,oslo\n"
    assert refused(HEADER + rows) == [
        (2, "It would be below itself: 'a' below 'b' below 'c' below 'a'."),
        (3, "It would be below itself: 'b' below 'c' below 'a' below 'b'."),
        (4, "It would be below itself: 'c' below 'a' below 'b' below 'c'."),
        (6, "It would be below itself: 'north' below 'south' below 'oslo' below 'north'."),
        (7, "It would be below itself: 'south' below 'oslo' below 'north' below 'south'."),
    ]


def test_a_long_cycle_is_told_in_short(db: None) -> None:
    rows = "".join(f"k{n},K,k{(n + 1) % 50}\n" for n in range(50))
    found = refused(HEADER + rows.encode())
    assert len(found) == 50
    assert found[0][1].endswith("'k4' below 'k5' below … below 'k0'.")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"a,A,\n",
        b"key;name;parent_key\na;A;\n",
        b"key,name\na,A\n",
        b"key,name,name\na,A,A\n",
        "key,name,parent_key\na,A,\n".encode("utf-16"),
    ],
)
def test_a_file_without_the_three_columns_is_refused(db: None, content: bytes) -> None:
    with pytest.raises(ImportRefused) as error:
        import_bytes(content)
    assert "name the columns key, name, parent_key; it has " in error.value.lines[-1].problem


def test_a_file_whose_lines_end_with_cr_alone_is_told_so(db: None) -> None:
    told = "Its lines end with CR alone; they have to end with LF or CRLF."
    assert refused(b"key,name,parent_key\ra,A,\rb,B,a\r") == [(1, told)]
    assert refused(b"key,name,parent_key\r" + b"a,A,\r" * 300_000) == [(1, told)]
    assert import_bytes(b"key,name,parent_key\r\na,A,\r\n").created == 1


def test_an_endless_line_is_not_read_into_memory(db: None) -> None:
    class Endless:
        def readline(self, most: int) -> bytes:
            return b"x" * most

    with pytest.raises(ImportRefused) as error:
        list(csv_file.rows(Endless(), ImportOptions(), Refusals(), lambda _: None))
    assert error.value.lines[0].line == 1


def test_an_open_quote_does_not_swallow_the_problems_after_it(db: None) -> None:
    filler = b"".join(b"k%d,K,\n" % n for n in range(20_000))
    found = refused(HEADER + b'a,"A,\n' + filler + b"z,,\n")
    assert found[0][0] == 2
    assert found[0][1].startswith("It is not CSV: field larger than field limit")
    assert found[-1] == (20_003, "The name is empty.")


def test_problems_are_all_counted_though_not_all_are_kept(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Refusals, "MAX_KEPT", 5)
    with pytest.raises(ImportRefused) as error:
        import_bytes(HEADER + b"a,,\n" * 12)
    assert (error.value.count, len(error.value.lines)) == (23, 5)  # 12 empty names, 11 doubled keys
    assert paths() == set()
