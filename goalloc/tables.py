"""Lists of records that show as a table: with print(), and in a notebook.  Else they are lists."""

from __future__ import annotations

from .display.pretty import show_text
from .stats import Arena, ClassStats, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pandas import DataFrame as _DataFrame

    from .sizes import SizeClass


class ClassTable(list[ClassStats]):
    """The span classes of a heap."""

    __slots__ = ()

    def to_dataframe(self) -> _DataFrame:
        """A row for each, as a pandas DataFrame."""
        from .dataframes import records_frame

        return records_frame(self, ClassStats._fields)

    _repr_pretty_ = show_text

    def __str__(self) -> str:
        from .display.classtable import class_table_text

        return class_table_text(self)

    def _repr_html_(self) -> str:
        from .display.classtable import class_table_html

        return class_table_html(self)


class SpanTable(list[Span]):
    """Spans of a heap, by address."""

    __slots__ = ()

    def to_dataframe(self) -> _DataFrame:
        """A row for each, as a pandas DataFrame."""
        from .dataframes import records_frame

        return records_frame(self, Span._fields)

    _repr_pretty_ = show_text

    def __str__(self) -> str:
        from .display.lists import spans_text

        return spans_text(self)

    def _repr_html_(self) -> str:
        from .display.lists import spans_html

        return spans_html(self)


class ArenaTable(list[Arena]):
    """The arenas of a heap, by address."""

    __slots__ = ()

    def to_dataframe(self) -> _DataFrame:
        """A row for each, as a pandas DataFrame."""
        from .dataframes import records_frame

        return records_frame(self, Arena._fields)

    _repr_pretty_ = show_text

    def __str__(self) -> str:
        from .display.lists import arenas_text

        return arenas_text(self)

    def _repr_html_(self) -> str:
        from .display.lists import arenas_html

        return arenas_html(self)


class SizeTable(list["SizeClass"]):
    """The size classes."""

    __slots__ = ()

    def to_dataframe(self) -> _DataFrame:
        """A row for each, as a pandas DataFrame."""
        from .dataframes import records_frame
        from .sizes import SizeClass

        return records_frame(self, SizeClass._fields)

    _repr_pretty_ = show_text

    def __str__(self) -> str:
        from .display.sizetable import sizes_text

        return sizes_text(self)

    def _repr_html_(self) -> str:
        from .display.sizetable import sizes_html

        return sizes_html(self)
