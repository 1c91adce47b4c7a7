"""Runs a process and samples its resident size from outside, so that nothing in it is disturbed."""

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interpreter import ChildFailed

MIB = 1 << 20
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Sample:
    time: float  # of time.monotonic, which all processes share
    size: int  # bytes


@dataclass(frozen=True)
class Watched:
    answer: Any  # the JSON of the last line printed
    samples: list[Sample]

    def between(self, begin: float, end: float) -> list[Sample]:
        """The samples from begin to end; a stretch too short for one has the next sample."""
        inside = [sample for sample in self.samples if begin <= sample.time <= end]
        return inside or [sample for sample in self.samples if sample.time > end][:1]


def peak(samples: list[Sample]) -> float:
    return max(sample.size for sample in samples) / MIB


def mean(samples: list[Sample]) -> float:
    """Over time, since a busy machine delays some samples: each size holds until the next one."""
    spans = [after.time - before.time for before, after in zip(samples, samples[1:], strict=False)]
    area = sum(span * sample.size for span, sample in zip(spans, samples, strict=False))
    return area / sum(spans) / MIB if spans else samples[0].size / MIB


def curve(samples: list[Sample], points: int) -> list[list[float]]:
    """Seconds from the first sample and MiB: as many points, each the mean of its stretch."""
    start, end = samples[0].time, samples[-1].time
    step = (end - start) / points or 1.0
    buckets: dict[int, list[int]] = {}
    for sample in samples:
        number = min(int((sample.time - start) / step), points - 1)
        buckets.setdefault(number, []).append(sample.size)
    return [
        [round((number + 0.5) * step, 2), round(statistics.fmean(sizes) / MIB, 1)]
        for number, sizes in buckets.items()
    ]


def _resident(pid: int) -> int | None:
    """None: the process is gone.  From statm, which doesn't walk page tables as smaps does."""
    try:
        with open(f"/proc/{pid}/statm") as statm:
            return int(statm.read().split()[1]) * _PAGE or None
    except (OSError, IndexError):
        return None


def watch(command: list[str], env: Mapping[str, str], cwd: Path, period: float) -> Watched:
    """Run the command to its end, with a sample every period seconds.

    Its output goes to a file: a pipe that nobody empties while sampling could fill up.
    """
    samples = []
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, env=dict(env), cwd=cwd, stdout=out, stderr=errors)
        try:
            while process.poll() is None:
                size = _resident(process.pid)
                if size is not None:
                    samples.append(Sample(time.monotonic(), size))
                time.sleep(period)
        finally:
            process.kill()
            process.wait()
        out.seek(0)
        errors.seek(0)
        lines, reasons = out.read().splitlines(), errors.read().strip().splitlines()
    if process.returncode != 0 or not lines or not samples:
        reason = reasons[-1] if reasons else "no output"
        raise ChildFailed(f"exit status {process.returncode}: {reason}")
    return Watched(json.loads(lines[-1]), samples)
