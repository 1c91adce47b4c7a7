"""Memory over time: a recorder in a thread, and what it has seen."""

from __future__ import annotations

from ._records import MomentFields, Record
from .arguments import must_be, real_number
from .display.pretty import show_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from threading import Event
    from types import TracebackType
    from typing import Any, Self
    from weakref import ref

    from pandas import DataFrame as _DataFrame

_MOST_MARKS = 100
_LONGEST = 1e9  # seconds; a lock can wait for nine times that


class Moment(Record, MomentFields):
    """seconds since the recording began, and bytes.

    rss    resident memory of the process
    held   what goalloc has from the system and has not given back: live, free, and its own records
    live   live blocks
    In wrap mode held and live are None.
    """

    __slots__ = ()


class MemoryTimeline:
    """Memory of this process over time: text with print(), a chart in a notebook.

    It is bounded: when there are `limit` moments, of each two the one with more RSS stays, and from
    then on they are taken half as often.  So the peaks stay.  A recording that nobody refers to ends;
    in a forked child it does not go on.
    """

    def __init__(self, interval: float = 0.5, *, limit: int = 1000) -> None:
        """interval is in seconds; limit is how many moments are kept, at least 10."""
        real_number(interval, "interval", "a number of seconds")
        if not isinstance(limit, int):
            raise TypeError(must_be("limit", "a number of moments", limit))
        if not 0 < interval <= _LONGEST:
            raise ValueError(must_be("interval", f"above 0 and at most {_LONGEST} seconds", interval))
        if limit < 10:
            raise ValueError(must_be("limit", "at least 10 moments", limit))
        from threading import Event, Thread

        self._interval = float(interval)
        self._limit = limit
        self._began = 0.0
        self._moments: list[Moment] = []
        self._marks: list[tuple[float, str]] = []
        self._stopped: Event = Event()
        self._thread: Thread | None = None

    def start(self) -> None:
        """Begins to record; it can be done once."""
        if self._thread is not None:
            raise RuntimeError("this recording has begun already")
        from threading import Thread
        from time import monotonic
        from weakref import ref

        self._began = monotonic()
        self._take()
        arguments = (ref(self), self._stopped, self._interval)
        self._thread = Thread(
            target=_record, args=arguments, name="goalloc timeline", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Ends the recording with a last moment; does nothing if it has ended."""
        if self._thread is None or self._stopped.is_set():
            return
        self._stopped.set()
        self._thread.join()
        self._take()

    def mark(self, text: str) -> None:
        """Notes what happens now; the chart shows it.  At most 100 notes."""
        if len(self._marks) >= _MOST_MARKS:
            raise ValueError(f"a timeline has at most {_MOST_MARKS} marks")
        from time import monotonic

        if self._thread is None:
            raise RuntimeError("this recording has not begun")
        self._marks.append((monotonic() - self._began, str(text)))

    @property
    def running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    @property
    def interval(self) -> float:
        """Seconds between two moments, now."""
        return self._interval

    @property
    def moments(self) -> tuple[Moment, ...]:
        return tuple(self._moments)

    @property
    def marks(self) -> tuple[tuple[float, str], ...]:
        """(seconds, text) of each mark()."""
        return tuple(self._marks)

    @property
    def peak(self) -> Moment | None:
        """The moment with the most RSS."""
        return max(self.moments, key=lambda m: m.rss, default=None)

    def as_dict(self) -> dict[str, Any]:
        """Moments, marks and the interval, ready for JSON."""
        return {
            "interval": self.interval,
            "moments": [moment.as_dict() for moment in self.moments],
            "marks": [{"seconds": seconds, "text": text} for seconds, text in self.marks],
        }

    def to_dataframe(self) -> _DataFrame:
        """A row for each moment as a pandas DataFrame: seconds, and bytes as in Moment."""
        from .dataframes import records_frame

        return records_frame(self.moments, Moment._fields)

    def _take(self) -> None:
        """By one thread at a time: the recording one, before it starts and after it ends others."""
        from time import monotonic

        from .bill import rss
        from .process import memstats

        m = memstats()
        held = live = None
        if m.sys is not None:
            held, live = m.sys - m.heap_released - m.heap_inuse_released, m.heap_alloc
        self._add(Moment(monotonic() - self._began, rss(), held, live))

    def _add(self, moment: Moment) -> None:
        if len(self._moments) >= self._limit:
            pairs = zip(self._moments[::2], self._moments[1::2])
            rest = self._moments[len(self._moments) // 2 * 2 :]
            self._moments = [max(pair, key=lambda m: m.rss) for pair in pairs] + rest
            self._interval = min(self._interval * 2, _LONGEST)
        self._moments.append(moment)

    def __enter__(self) -> Self:
        if self._thread is None:
            self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "running" if self.running else "ended" if self._thread else "not begun"
        seconds = self._moments[-1].seconds if self._moments else 0.0
        return f"<MemoryTimeline, {state}, {len(self._moments)} moments in {seconds:.1f} s>"

    _repr_pretty_ = show_text

    def __str__(self) -> str:
        from .display.timechart import timeline_text

        return timeline_text(self.moments, self.marks)

    def _repr_html_(self) -> str:
        from .display.timechart import timeline_html

        return timeline_html(self.moments, self.marks)


def _record(timeline: ref[MemoryTimeline], stopped: Event, interval: float) -> None:
    while not stopped.wait(interval):
        alive = timeline()
        if alive is None:
            return
        alive._take()
        interval = alive.interval
        del alive


def record(interval: float = 0.5, *, limit: int = 1000) -> MemoryTimeline:
    """Begins to record memory every `interval` seconds; stop(), or the end of a `with`, ends it."""
    timeline = MemoryTimeline(interval, limit=limit)
    timeline.start()
    return timeline
