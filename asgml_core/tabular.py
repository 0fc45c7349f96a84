"""Reading tables of others in CSV; their size and width are looked at before they are parsed."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from asgml_core.reading import ReadError, first_line, read_text, short

if TYPE_CHECKING:
    import pandas as pd

#: The largest table, in bytes and in columns.
BYTES, COLUMNS = 64 << 20, 10_000


def read_csv(path: Path) -> pd.DataFrame:
    """Return the table in a CSV file with a header.

    Raises:
        MissingError: when it is not there.
        ReadError: when it is no regular file, is too large or too wide, names a column twice, or
            has a line of another length.
    """
    import pandas as pd

    text = read_text(path, BYTES)
    try:
        # As pandas counts: a line ends at a line's end of any system.
        reader = csv.reader(io.StringIO(text.replace("\0", "\ufffd"), newline=""), strict=True)
        header = next(reader, [])
        _check_header(path, header)
        for row in reader:
            if row and len(row) != len(header):
                raise ReadError(
                    f"{path}, line {reader.line_num}: it has {len(row)} values, but {len(header)} "
                    "were expected"
                )
        return pd.read_csv(io.StringIO(text))
    except ReadError:
        raise
    except (ValueError, OverflowError, csv.Error) as error:
        raise ReadError(f"{path} is no readable CSV ({first_line(error)})") from error


def _check_header(path: Path, header: list[str]) -> None:
    if not header:
        raise ReadError(f"{path} is empty, but a table with a header was expected")
    if len(header) > COLUMNS:
        raise ReadError(f"{path} has {len(header):,} columns, but at most {COLUMNS:,} are read")
    name, times = Counter(header).most_common(1)[0]
    if times > 1:
        raise ReadError(f"{path} has the column {short(name)} {times} times")
