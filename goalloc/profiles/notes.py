"""What a profile says of itself: of a sampling rate of 0, in this process or a file, and of its parts."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

OFF = "sampling is off (rate 0): goalloc.set_profile_rate(524288) turns it on"
_OFF_IN_FILE = "sampling was off (rate 0): goalloc run --rate 512KiB turns it on"
_PARTLY = "a part of it was not sampled (rate 0)"
WITH_DIFFERENCES = "whole profiles and differences are added up here"


def of_file(note: str) -> str:
    """A note as it holds for a file, whose process is elsewhere or no more."""
    return _OFF_IN_FILE if note == OFF else note


def joined(notes: Iterable[str], rate: int) -> str:
    """The notes of profiles that were made into one; where one has a rate, there are numbers."""
    found = dict.fromkeys(note for note in notes if note)
    if rate:
        found = dict.fromkeys(_PARTLY if n in (OFF, _OFF_IN_FILE) else n for n in found)
    return " ".join(found)
