"""Tables for pandas, which is imported only here, when one is asked for."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from pandas import DataFrame as _DataFrame

    from ._records import Record


def dataframe(data: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]]) -> _DataFrame:
    """From columns by name, or from rows; ImportError says what to install."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            "to_dataframe() needs pandas: pip install 'goalloc[dataframe]'", name="pandas"
        ) from error
    return pandas.DataFrame(data)


def records_frame(records: Iterable[Record], fields: Sequence[str]) -> _DataFrame:
    """A row for each record; the columns are there also if there is none."""
    # 1024 bits of a span's slots don't fit a column of numbers.
    names = [name for name in fields if name != "alloc_bits"]
    rows = [record.as_dict() for record in records]
    return dataframe({name: [row[name] for row in rows] for name in names})
