"""Pieces of code that are measured at the same time: one in the other, or in several threads.

The sampling rate and the high-water mark are the process's.  So the finest rate that one of them asks
for holds for all; and as each begins the mark anew, those that run already keep the peak so far.
"""

from __future__ import annotations

import os
from _thread import RLock
from contextlib import contextmanager

from .live import heap_profile, reset_peak, set_profile_rate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .profile import HeapProfile


class _Process:
    """What they share."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.running: list[Measurement] = []
        self.former = 0  # the rate when none is running

    def resume(self) -> None:
        """Samples again, after a profile was read."""
        rate = min((m.rate for m in self.running), default=self.former)
        for measurement in self.running:
            measurement.rates.add(rate)
        set_profile_rate(rate)


_process = _Process()


def _renew() -> None:
    """In a forked child: who held the lock is not there."""
    _process.lock = RLock()


os.register_at_fork(after_in_child=_renew)


def _with_peak_of(profile: HeapProfile, other: HeapProfile) -> HeapProfile:
    from .algebra import with_peak_of  # which needs re

    return with_peak_of(profile, other)


class Measurement:
    """Of one piece: the profile before it, the rates while it ran, and the profile after it."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.rates: set[int] = set()
        self._peak: HeapProfile | None = None
        with _process.lock:
            former = set_profile_rate(0)  # what reading the profile allocates is not of the piece
            if not _process.running:
                _process.former = former
            try:
                self.before = heap_profile()
                for other in _process.running:
                    other._note_peak(self.before)
                reset_peak()
                _process.running.append(self)
            finally:
                _process.resume()

    @contextmanager
    def end(self) -> Iterator[HeapProfile]:
        """Gives the profile after the piece; samples again when that has been looked at."""
        with _process.lock:
            set_profile_rate(0)
            try:
                after = heap_profile()
                self._note_peak(after)
                assert self._peak is not None
                yield after if self._peak is after else _with_peak_of(after, self._peak)
            finally:
                _process.running.remove(self)
                _process.resume()

    def _note_peak(self, profile: HeapProfile) -> None:
        if self._peak is None or profile.total("peak_space") > self._peak.total("peak_space"):
            self._peak = profile
