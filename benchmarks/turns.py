"""Processes that run the same benchmark file under different allocators and take turns.

To be timed, all are pinned to one core.  Those whose turn it is not are stopped by a signal, so that
a background thread can't spend another's time.
"""

import json
import os
import select
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from types import MappingProxyType, TracebackType
from typing import Any

from contenders import Contender
from interpreter import HERE, ChildFailed, Interpreter
from runner import core
from suite import Benchmark

_CHILD = HERE / "suite_child.py"
_PATIENCE = 300.0  # seconds for one answer; under callgrind a second takes a minute
_NO_MORE: Mapping[str, str] = MappingProxyType({})


class Player:
    """One process, started and at once stopped; every request is one turn."""

    def __init__(
        self,
        python: Interpreter,
        contender: Contender,
        benchmark: Benchmark,
        job: dict[str, Any],
        *,
        packages: str = "",
        environment: Mapping[str, str] = _NO_MORE,
        wrapper: tuple[str, ...] = (),
        patience: float = _PATIENCE,
        clock: str = "wall",
        pin: bool = True,
    ) -> None:
        requests, self._requests = os.pipe()
        self._answers, answers = os.pipe()
        job = {
            **job, "file": str(benchmark.file), "args": list(benchmark.args), "clock": clock,
            "reader": requests, "writer": answers, "cpu": core() if pin else None,
        }  # fmt: skip
        env = contender.environment() | {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
        env |= environment
        if packages:
            env["PYTHONPATH"] = packages
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed by __exit__
        self._patience = patience
        self._process = subprocess.Popen(
            [*wrapper, *contender.command(python, _CHILD, json.dumps(job))],
            env=env, cwd=python.build_dir, pass_fds=(requests, answers),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._errors,
        )  # fmt: skip
        os.close(requests)
        os.close(answers)
        self._buffer = b""

    def _read(self) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], self._patience)
            if not ready:
                raise ChildFailed(f"no answer in {self._patience:.0f} s")
            data = os.read(self._answers, 1 << 16)
            if not data:
                raise ChildFailed(self._last_words())
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        status = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"exit status {status}: {lines[-1] if lines else 'no output'}"

    def _turn(self, request: dict[str, Any] | None) -> dict[str, Any]:
        if request is not None:
            self._process.send_signal(signal.SIGCONT)
            os.write(self._requests, json.dumps(request).encode() + b"\n")
        answer = self._read()
        self._process.send_signal(signal.SIGSTOP)
        return answer

    def first(self) -> str | None:
        """The name of the file's first benchmark; None: it has none."""
        return self._turn(None).get("name")

    def following(self) -> str | None:
        """On to the next benchmark: its name, or None at the end, when `peak` is known."""
        answer = self._turn({"next": True})
        self.peak: int = answer.get("peak", 0)
        return answer.get("name")

    def calibrate(self, seconds: float) -> int:
        return int(self._turn({"calibrate": seconds})["loops"])

    def run(self, loops: int) -> float:
        return float(self._turn({"loops": loops})["seconds"])

    def finish(self) -> None:
        """Let the process end by itself, as a counting tool needs it."""
        self._process.send_signal(signal.SIGCONT)
        if self._process.wait() != 0:
            raise ChildFailed(self._last_words())

    def __enter__(self) -> "Player":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: object, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for end in (self._requests, self._answers):
            os.close(end)
        self._errors.close()
