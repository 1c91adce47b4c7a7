"""What all scripts of this folder share: which interpreter this is, how children start, results."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
DOCS = HERE.parent.parent / "docs"


def column() -> str:
    """'3.14', '3.14d' for a debug build, '3.14t' for a free-threaded one: names a result file."""
    return "{}.{}".format(*sys.version_info[:2]) + sys.abiflags


def describe() -> dict[str, Any]:
    """The interpreter and the goalloc that this process has."""
    import goalloc

    return {
        "column": column(),
        "version": sys.version.split()[0],
        "libpython": "shared" if "/libpython" in Path("/proc/self/maps").read_text() else "linked in",
        "goalloc": goalloc.__version__,
        "kernel": os.uname().release,
    }


def clean_environment(**more: str) -> dict[str, str]:
    """os.environ without a trace of goalloc or of another allocator."""
    drop = ("GOALLOC", "LD_PRELOAD", "PYTHONMALLOC", "PYTHONTRACEMALLOC", "PYTHONDEVMODE")
    return {**{k: v for k, v in os.environ.items() if not k.startswith(drop)}, **more}


@dataclass
class Outcome:
    """How a child ended; status is None when it was ended because its time was up."""

    status: int | None
    stdout: str
    stderr: str
    seconds: float

    def how(self) -> str:
        """'exit 0', 'SIGSEGV', 'timeout'"""
        if self.status is None:
            return "timeout"
        return f"exit {self.status}" if self.status >= 0 else signal.Signals(-self.status).name

    def tail(self) -> str:
        """The end of what it said, for a result: whose home it was is nothing to keep."""
        home = os.path.join(os.path.expanduser("~"), "")
        return (self.stdout + self.stderr)[-3000:].replace(home, "~/")


def run(
    command: list[str], *, folder: Path, timeout: float, env: dict[str, str]
) -> Outcome:
    """Runs a command in a session of its own, which ends as a whole when it does, or its time is up.

    What it says goes to files: a pipe could be held open by what it left running.
    """
    begin = time.monotonic()
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        in_time = _ended(child.pid, begin + timeout)
        # Before it is waited for: until then nobody else can have its number.
        os.killpg(child.pid, signal.SIGKILL)
        status = child.wait()
        texts = []
        for file in (stdout, stderr):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    return Outcome(status if in_time else None, *texts, time.monotonic() - begin)


def _ended(pid: int, deadline: float) -> bool:
    """Waits for a child to end, and leaves it to be waited for; False: not in time."""
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def load(path: Path) -> dict[str, Any]:
    """What a result file holds; {} if there is none."""
    return json.loads(path.read_text()) if path.exists() else {}


def save(path: Path, data: dict[str, Any]) -> None:
    """At once or not at all: a run may be ended at any moment, and goes on from the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n")
    draft.replace(path)
