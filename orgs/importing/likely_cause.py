"""The likely cause of a file that cannot be imported, in words: the wrong format, encoding, delimiter or quotes."""

from __future__ import annotations

from typing import BinaryIO

from orgs.errors import RefusedLine
from orgs.importing import excel_file
from orgs.importing.options import DELIMITERS, ImportOptions

SAMPLE_BYTES = 65_536
OLD_WORKBOOK = b"\xd0\xcf\x11\xe0"
BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")
NUL_SHARE = 0.2
"""A larger share of NUL bytes means two bytes for each character."""


def likely_cause(file: BinaryIO, options: ImportOptions, lines: list[RefusedLine]) -> str:
    """Return a sentence about the likely cause of the problems and the way out, or "" if nothing points to one."""
    file.seek(0)
    sample = file.read(SAMPLE_BYTES)
    return (
        _other_format(sample)
        or _other_encoding(sample, options, lines)
        or _other_columns(sample, options, lines)
        or _quotes(lines)
    )


def _other_format(sample: bytes) -> str:
    if sample.startswith(OLD_WORKBOOK):
        return (
            "The file is an old Excel workbook (.xls) or a workbook with a password. Save it in Excel as .xlsx without "
            "a password, or as “CSV UTF-8”."
        )
    if excel_file.is_workbook(sample):
        return ""
    if sample.lstrip().startswith(b"<"):
        return "The file is a web page or XML, not a table. Save the table as “CSV UTF-8”."
    if sample.lstrip().startswith((b"{", b"[")):
        return "The file is JSON, not a table. Write it as CSV."
    if sample.startswith(b"%PDF"):
        return "The file is a PDF, not a table. Save the table as “CSV UTF-8”."
    return ""


def _other_encoding(sample: bytes, options: ImportOptions, lines: list[RefusedLine]) -> str:
    if excel_file.is_workbook(sample):
        return ""
    has_wide_characters = sample.startswith(BYTE_ORDER_MARKS) or sample.count(0) > NUL_SHARE * len(sample) > 0
    if has_wide_characters and not options.encoding.startswith("utf-16"):
        return (
            "The file is in UTF-16, as Excel writes “Unicode text”. Set the option encoding to utf-16, and the option "
            "delimiter to tab if Excel wrote it; or save the file as “CSV UTF-8”."
        )
    if options.encoding == "utf-8" and any("is not UTF-8" in problem for _, problem in lines):
        return (
            "The file is probably in Windows-1252, as Excel writes “CSV”. Set the option encoding to windows-1252, or "
            "save the file as “CSV UTF-8”."
        )
    if options.encoding.startswith("utf-16") and not has_wide_characters:
        return "The file is not in UTF-16. Leave out the option encoding, or set it to windows-1252."
    return ""


def _other_columns(sample: bytes, options: ImportOptions, lines: list[RefusedLine]) -> str:
    if not any("has to name the columns" in problem for _, problem in lines):
        return ""
    text = "" if excel_file.is_workbook(sample) else sample.decode(options.encoding, "replace").removeprefix("\ufeff")
    header = next((line for line in text.splitlines() if line.strip()), "")
    for name, delimiter in DELIMITERS.items():
        if delimiter in header and delimiter != options.delimiter and options.delimiter not in header:
            return f"The columns are probably separated by the {name}. Set the option delimiter to {name}."
    return (
        "If the first line has other names for the columns, name them with the option columns, such as "
        "key=code,name=title,parent_key=parent. If the file has no line of names, add it."
    )


def _quotes(lines: list[RefusedLine]) -> str:
    if not any(problem.startswith("It is not CSV") for _, problem in lines):
        return ""
    return (
        'A quotation mark is probably missing or not doubled. Write a quotation mark inside of a field twice, as in "a '
        '""b"" c", and close each field that a quotation mark opens.'
    )
