"""Tables of labels and texts: a CSV file with a row for each recording.

The header names the columns: `path`, of the recording within the corpus's folder, and one or more
of `COLUMNS`. A field that contains a comma is within quotation marks.
"""

import csv
import io
import pathlib
from collections.abc import Sequence

from data.errors import DataError
from data.text_files import text

COLUMNS = ("label", "speaker", "text")


def read_table(path: pathlib.Path, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """The fields of each recording by column, in the order of `names`.

    Args:
      path: Of the table.
      names: Of the recordings, all of them.

    Raises:
      DataError: the file is no such table, a field is empty, or its paths are not `names`.
    """
    reader = csv.reader(io.StringIO(text(path)), strict=True)
    table: dict[str, dict[str, str]] = {}
    try:
        columns = [column.strip() for column in next(reader, [])]
        _check_header(path, columns)
        for row in filter(None, reader):
            where = f"line {reader.line_num} of {path}"
            if len(row) != len(columns):
                raise DataError(
                    f"{where} has {len(row)} fields for the columns {','.join(columns)}: write "
                    "one for each, those that contain commas within quotation marks"
                )
            fields = dict(zip(columns, map(str.strip, row), strict=True))
            name = pathlib.PurePosixPath(fields.pop("path")).as_posix()
            if name in table:
                raise DataError(f"{where} names {name} again: remove one of its rows")
            table[name] = fields
    except csv.Error as error:
        raise DataError(
            f"line {reader.line_num} of {path} is not CSV ({error}): close the quotation marks, "
            "and double those that are part of a text"
        ) from None
    for name in names:
        for column in columns:
            if column != "path" and not table.get(name, {}).get(column):
                remedy = f"fill its {column} in" if name in table else "add a row for it"
                raise DataError(f"{path} gives no {column} to {name}: {remedy}")
    unknown = sorted(table.keys() - set(names))
    if unknown:
        raise DataError(
            f"{path} names {unknown[0]}, which is no recording of the folder ({len(unknown)} "
            "such rows): correct or remove it; paths are those within --source"
        )
    return {name: table[name] for name in names}


def _check_header(path: pathlib.Path, columns: Sequence[str]) -> None:
    is_known = set(columns) <= {"path", *COLUMNS}
    if (
        "path" not in columns
        or len(columns) < 2
        or not is_known
        or len(set(columns)) < len(columns)
    ):
        raise DataError(
            f"{path} begins with {','.join(columns)[:60]!r}: it needs a header line with path and "
            f"one or more of {', '.join(COLUMNS)}, separated by commas"
        )
