"""What children that watch the scavenger share.  Run as a program it prints nothing."""

import os
import random
import subprocess
import time

import goalloc

MIB = 1 << 20
# Where a Python built with ThreadSanitizer runs the tests, each process has a thread of the sanitizer's.
FOREIGN = int("TSAN_OPTIONS" in os.environ)


def wait_until(true, pause=0.05):
    """It must come; how long it takes is nobody's business."""
    for _ in range(int(60 / pause)):
        if true():
            return
        time.sleep(pause)
    raise SystemExit(f"this never came: {true.__doc__ or true.__name__}")


def kept():
    """Bytes of free pages that the system has not got back."""
    m = goalloc.memstats()
    return m.heap_idle - m.heap_released


def ready():
    """Bytes that are taken from the system."""
    m = goalloc.memstats()
    return m.sys - m.heap_released - m.heap_inuse_released


def threads():
    """How many threads the system counts."""
    return len(os.listdir("/proc/self/task")) - FOREIGN


def is_alone():
    """the scavenger is gone"""
    # Somebody else must look, when we have slept for a while: to look ourselves would wake it.
    look = "sleep 0.4; ls /proc/$PPID/task | wc -l"
    return int(subprocess.check_output(["sh", "-c", look])) == 1 + FOREIGN


def all_is_back():
    """hardly a free page is kept"""
    return kept() < MIB // 4


def blocks(n=150_000):
    """Some 30 MB, of many sizes."""
    return [bytes(40 + i * 7 % 400) for i in range(n)]


def some(things, of=100):
    """One of so many, at random."""
    pick = random.Random(1).random
    return [thing for thing in things if pick() * of < 1]
