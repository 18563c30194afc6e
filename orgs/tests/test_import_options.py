"""The options of an import: whose organizations it may change, which columns it reads, and from which kind of file."""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest

from conftest import Cast
from orgs.errors import ImportRefused, InvalidImportOption, OrganizationNotFound
from orgs.importing.options import ImportOptions, columns_in
from orgs.tests.trees import get, import_bytes, import_rows, paths, refused
from orgs.tests.workbooks import ErrorCell, workbook

HEADER = b"key,name,parent_key\n"


# --- other customers' organizations -----------------------------------------------------------------------------------
def test_a_move_to_another_tree_is_refused_unless_it_is_allowed(cast: Cast) -> None:
    before = paths()
    content = HEADER + b"mine,Mine,rival\nrome,Rome,mine\noslo,Oslo,south\n"
    with pytest.raises(ImportRefused) as error:
        import_bytes(content)
    assert [tuple(line) for line in error.value.lines] == [
        (3, "'rome' would leave the tree of 'acme' and move to the tree of 'rival'.")
    ]
    assert "set the option move_between_trees" in error.value.detail
    assert paths() == before
    assert import_bytes(content, move_between_trees=True).moved == 2


def test_the_refusal_names_each_organization_with_both_trees(cast: Cast) -> None:
    content = HEADER + b"rome,Rome,rival_store\nbergen,Bergen,\nnew,New,\nrival,Rival,new\noslo,Oslo,south\n"
    assert refused(content) == [
        (2, "'rome' would leave the tree of 'acme' and move to the tree of 'new'."),
        (3, "'bergen' would leave the tree of 'acme' and become a root."),
        (5, "'rival' would leave the tree of 'rival' and move to the tree of 'new'."),
    ]


def test_a_dry_run_refuses_what_the_import_would_refuse(cast: Cast) -> None:
    with pytest.raises(ImportRefused, match="another tree"):
        import_bytes(HEADER + b"rome,Rome,rival\n", dry_run=True)


def test_a_prefix_keeps_the_keys_of_customers_apart(cast: Cast) -> None:
    rows = ("acme,Other,", "rome,Other Rome,acme")
    report = import_rows(*rows, key_prefix="x-")
    assert (report.created, get("acme").name) == (2, "Acme")
    assert "x-acme/x-rome" in paths()
    assert import_rows(*rows, key_prefix="x-").unchanged == 2


def test_within_a_subtree_rows_without_a_parent_go_below_its_top_which_stays(cast: Cast) -> None:
    report = import_rows("a,A,", "b,B,a", "north,Norden,", "oslo,Oslo,", below_id=cast.north.pk)
    assert (report.created, report.renamed, report.moved, report.unchanged) == (2, 1, 0, 1)
    assert {"acme/north/a/b", "acme/north/oslo"} <= paths()


@pytest.mark.parametrize("option", ["below_id", "scope_id"])
def test_a_subtree_is_never_left(cast: Cast, option: str) -> None:
    content = HEADER + b"rome,Mine,north\nx,X,south\ny,Y,rome\noslo,Oslo,north\nz,Z,rival\nacme,A,north\n"
    foreign = "is taken. Choose another, for instance with a key prefix."
    nowhere = "does not exist, neither in your subtree nor in the file."
    assert refused(content, **{option: cast.north.pk}) == [
        (2, f"The key 'rome' {foreign}"),
        (3, f"The parent 'south' {nowhere}"),
        (6, f"The parent 'rival' {nowhere}"),
        (7, f"The key 'acme' {foreign}"),
    ]


def test_whoever_has_a_scope_makes_no_roots_but_may_rename_the_top(cast: Cast) -> None:
    [(line, problem)] = refused(HEADER + b"x,X,\nnorth,Norden,\n", scope_id=cast.north.pk)
    assert (line, problem.partition(",")[0]) == (2, "It would be a root")
    assert import_rows("north,Norden,", "oslo,Oslo,bergen", scope_id=cast.north.pk)[2:4] == (1, 1)
    assert "acme/north/bergen/oslo" in paths()


def test_a_problem_never_names_organizations_outside_of_the_subtree(cast: Cast) -> None:
    content = HEADER + b"acme,Acme,oslo\n"
    assert refused(content, scope_id=cast.oslo.pk) == [
        (2, "The key 'acme' is taken. Choose another, for instance with a key prefix.")
    ]


def test_what_is_outside_of_the_scope_cannot_be_imported_below(cast: Cast) -> None:
    for below, scope in ((cast.rival, cast.acme), (cast.acme, cast.north)):
        with pytest.raises(OrganizationNotFound):
            import_rows("a,A,", below_id=below.pk, scope_id=scope.pk)
    assert import_rows("a,A,", below_id=cast.oslo.pk, scope_id=cast.north.pk).created == 1


# --- the report -------------------------------------------------------------------------------------------------------
def test_the_report_names_what_is_renamed_and_moved_before_and_after(cast: Cast) -> None:
    report = import_rows("a,A,oslo", "rome,Roma,acme", "oslo,Oslo,south", "north,Norden,acme", "bergen,Bergen,")
    assert [tuple(change) for change in report.changes] == [
        (3, "move and rename", "rome", "Roma", "Rome", "acme", "south"),
        (4, "move", "oslo", "Oslo", "", "south", "north"),
        (5, "rename", "north", "Norden", "North", "acme", ""),
        (6, "move", "bergen", "Bergen", "", "", "north"),
        (2, "create", "a", "A", "", "oslo", ""),
    ]


def test_the_report_of_a_dry_run_is_that_of_the_import(cast: Cast) -> None:
    rows = b"a,A,\nrome,Roma,oslo\noslo,Oslo,north\n"
    before = paths()
    checked = import_bytes(HEADER + rows, dry_run=True)
    assert paths() == before
    assert checked.values is not None, "only a dry run counts what changes its value"
    assert import_bytes(HEADER + rows) == checked._replace(values=None)


# --- columns, delimiter, encoding -------------------------------------------------------------------------------------
def test_columns_may_have_other_names_and_further_columns_are_ignored(db: None) -> None:
    content = b"note,Code,parent,title,key\nx,a,,A,9\ny,b,a,B,8\n"
    import_bytes(content, columns=columns_in("key=Code, name=title,parent_key=parent"))
    assert paths() == {"a", "a/b"}


def test_rows_of_commas_are_empty_rows(db: None) -> None:
    import_bytes(HEADER + b",,\n , ,\na,A,\n,,,,\nb,B,a,,\n")
    assert paths() == {"a", "a/b"}


@pytest.mark.parametrize(
    ("delimiter", "text"), [(";", ";"), ("semicolon", ";"), ("tab", "\t"), ("\t", "\t"), ("pipe", "|"), ("|", "|")]
)
def test_a_file_may_have_another_delimiter(db: None, delimiter: str, text: str) -> None:
    import_bytes(HEADER.replace(b",", text.encode()) + f"a,b{text}A{text}\n".encode(), delimiter=delimiter)
    assert paths() == {"a,b"}


@pytest.mark.parametrize("encoding", ["windows-1252", "cp1252", "latin-1", "utf-16", "UTF_16_LE", "utf-16-be", "utf8"])
def test_a_file_may_have_another_encoding(db: None, encoding: str) -> None:
    import_bytes(
        "key,name,parent_key\r\na,Ærø Ünïon,\r\nb,\u0142 B,a\r\n".encode(encoding, "replace"), encoding=encoding
    )
    assert get("a").name == "Ærø Ünïon"
    assert paths() == {"a", "a/b"}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("columns", {"code": "key"}),
        ("columns", {"key": "name"}),
        ("delimiter", ";;"),
        ("delimiter", '"'),
        ("delimiter", ""),
        ("delimiter", "a"),
        ("encoding", "hex"),
        ("encoding", "utf-9"),
        ("encoding", "a\x00b"),
        ("key_prefix", " x"),
        ("key_prefix", "a\n"),
        ("key_prefix", "x" * 101),
    ],
)
def test_an_option_without_a_valid_value_is_named(option: str, value: Any) -> None:
    with pytest.raises(InvalidImportOption) as error:
        ImportOptions(**{option: value})
    assert error.value.option == option


@pytest.mark.parametrize("text", ["key", "key=", "key=a,key=b", "code=key", "key=name"])
def test_columns_that_are_not_understood_are_refused(text: str) -> None:
    with pytest.raises(InvalidImportOption):
        columns_in(text)


# --- Excel workbooks --------------------------------------------------------------------------------------------------
def test_an_excel_workbook_is_read_as_a_person_sees_it(db: None) -> None:
    content = workbook(at={
        2: ["key", "name", "note", "parent_key"], 3: [], 4: [1001, "A & B", 3.5, None],
        5: ["b", 12.5, ErrorCell(), 1001], 6: [True, " C ", datetime.date(2024, 1, 5), "b"],
    })  # fmt: skip
    report = import_bytes(content)
    assert paths() == {"1001", "1001/b", "1001/b/TRUE"}
    assert [get(key).name for key in ("1001", "b", "TRUE")] == ["A & B", "12.5", "C"]
    assert [change.line for change in report.changes] == [4, 5, 6]


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (ErrorCell(), "has an error of Excel, such as #REF! or #N/A"),
        (datetime.date(2024, 1, 5), "has a date or a time"),
        (12345678901234567890, "has a number with more than 15 digits"),
        (float("inf"), "has a number that does not exist in Excel"),
        (float("nan"), "has a number that does not exist in Excel"),
    ],
)
def test_a_cell_that_excel_has_changed_is_refused(db: None, cell: Any, words: str) -> None:
    for position, column in enumerate(("key", "name", "parent_key")):
        row: list[Any] = ["a", "A", None]
        row[position] = cell
        [(line, problem)] = refused(workbook(["key", "name", "parent_key"], ["b", "B", None], row))
        assert line == 3
        assert problem.startswith(f"The cell of the column {column} {words}")


def test_a_workbook_of_another_form_is_refused_with_a_way_out(db: None) -> None:
    for content in (b"PK\x03\x04 and so on", workbook(["key", "name"], ["a", "A"])):
        with pytest.raises(ImportRefused) as error:
            import_bytes(content)
        assert "CSV" in error.value.detail or "option columns" in error.value.detail


@pytest.mark.parametrize("cell", ["XFD1048576", "ZZZZZ99999999", "AMJ900000"])
def test_a_small_workbook_with_a_huge_sheet_is_refused_and_ends_no_worker(db: None, cell: str) -> None:
    far = f'<row r="{re.sub("[A-Z]", "", cell)}"><c r="{cell}" t="inlineStr"><is><t>x</t></is></c></row>'
    with pytest.raises(ImportRefused) as error:
        import_bytes(workbook(["key", "name", "parent_key"], ["a", "A", None], more=far))
    assert "a cell is far to the right or far below. Save the sheet as a CSV file" in error.value.detail


# --- likely causes ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ("key,name,parent_key\na,Ærø,\n".encode("cp1252"), {}, "probably in Windows-1252"),
        ("key,name,parent_key\na,A,\n".encode("utf-16"), {}, "is in UTF-16"),
        ("key\tname\tparent_key\na\tA\t\n".encode("utf-16-le"), {}, "is in UTF-16"),
        (HEADER + b"a,A,\n", {"encoding": "utf-16"}, "not in UTF-16"),
        (b"key;name;parent_key\na;A;\n", {}, "Set the option delimiter to semicolon."),
        (b"key\tname\tparent_key\na\tA\t\n", {}, "Set the option delimiter to tab."),
        (HEADER + b"a,A,\n", {"delimiter": ";"}, "Set the option delimiter to comma."),
        (b"code,title,parent\na,A,\n", {}, "name them with the option columns"),
        (b"a,A,\n", {}, "If the file has no line of names, add it."),
        (HEADER + b'a,"A "b" C",\n', {}, "quotation mark"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, {}, "old Excel workbook (.xls)"),
        (b"PK\x03\x04" + b"\0" * 600, {}, "cannot read it as an Excel workbook"),
        (b"<!DOCTYPE html><html></html>", {}, "web page"),
        (b'[{"key": "a"}]', {}, "JSON"),
        (b"%PDF-1.7\n", {}, "PDF"),
    ],
)
def test_after_an_error_the_likely_cause_is_told_in_words(db: None, content: bytes, options: Any, words: str) -> None:
    with pytest.raises(ImportRefused) as error:
        import_bytes(content, **options)
    assert words in error.value.detail


def test_without_a_sign_of_a_cause_none_is_told(db: None) -> None:
    with pytest.raises(ImportRefused) as error:
        import_bytes(HEADER + b"a,,\n")
    assert error.value.advice == ""
