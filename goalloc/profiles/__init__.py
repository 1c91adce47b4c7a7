"""Heap profiles: which code allocated what.  Pure Python but for live.py, which asks the core."""

from .profile import HeapProfile
from .records import VALUES, Frame, Sample, Thread

__all__ = ["VALUES", "Frame", "HeapProfile", "Sample", "Thread"]
