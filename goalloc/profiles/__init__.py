"""Heap profiles: which code allocated what.  Pure Python, fed with what the core says."""

from .profile import HeapProfile
from .records import VALUES, Frame, Sample, Thread

__all__ = ["VALUES", "Frame", "HeapProfile", "Sample", "Thread"]
