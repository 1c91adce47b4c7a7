"""What all scripts of this folder share: which interpreter this is, how children start, results."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import sysconfig
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
        "libpython": "shared" if sysconfig.get_config_var("Py_ENABLE_SHARED") else "linked in",
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


def run(
    command: list[str], *, folder: Path, timeout: float, env: dict[str, str], input: str = ""
) -> Outcome:
    """Runs a command in a session of its own, which ends as a whole when the time is up."""
    begin = time.monotonic()
    with subprocess.Popen(
        command,
        cwd=folder,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as child:
        try:
            stdout, stderr = child.communicate(input, timeout=timeout)
            status: int | None = child.returncode
        except subprocess.TimeoutExpired:
            _end_session(child.pid)
            stdout, stderr = child.communicate()
            status = None
    _end_session(child.pid)  # what it left running
    return Outcome(status, stdout, stderr, time.monotonic() - begin)


def _end_session(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def load(path: Path) -> dict[str, Any]:
    """What a result file holds; {} if there is none."""
    return json.loads(path.read_text()) if path.exists() else {}


def save(path: Path, data: dict[str, Any]) -> None:
    """At once or not at all: a run may be ended at any moment, and goes on from the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n")
    draft.replace(path)
