"""`goalloc attach PID`: goalloc into a running process, through sys.remote_exec (Python 3.14).

The process runs a short script when its main thread gets to it; goalloc/attached.py does the work
there and writes what came of it beside the script, for us to print.
"""

from __future__ import annotations

import json
import os
import sys

from . import CommandError, add_command, need_core
from .progress import progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from . import _Subparsers

_TIMEOUT = 30.0
_NEEDED = (3, 14)

# Runs in __main__ of the process, where it must leave nothing.
_SCRIPT = """\
def _goalloc_attach(order):
    import sys
    if "goalloc" not in sys.modules:
        from importlib.util import module_from_spec, spec_from_file_location
        path = order["package"]
        spec = spec_from_file_location(
            "goalloc", path + "/__init__.py", submodule_search_locations=[path]
        )
        module = sys.modules["goalloc"] = module_from_spec(spec)
        spec.loader.exec_module(module)
    from goalloc import attached
    attached.obey(order)
try:
    _goalloc_attach({order!r})
except Exception as _goalloc_error:
    with open({failure!r}, "w") as _goalloc_file:
        _goalloc_file.write(repr(_goalloc_error))
    del _goalloc_file
del _goalloc_attach
"""
# Instead of it, when nobody waits any longer.
_CANCELLED = "import shutil; shutil.rmtree({folder!r}, ignore_errors=True); del shutil\n"


def add(commands: _Subparsers) -> None:
    parser = add_command(
        commands,
        "attach",
        attach,
        "put goalloc into a running process (Python 3.14 and later)",
        "Puts goalloc into a running process of the same Python version: in import mode, or in wrap "
        "mode where others have the allocators; one that has it stays as it is. What was allocated "
        "before is not seen.",
    )
    parser.add_argument("pid", type=_pid, metavar="PID")
    parser.add_argument("--profile", metavar="FILE", help="write its heap profile there now")
    parser.add_argument("--every", metavar="TIME", help="and again every so often, and at its end")
    parser.add_argument("--signal", metavar="SIGNAL", help="and at this signal, numbered")
    parser.add_argument(
        "--serve", metavar="[HOST:]PORT", help="serve its heap by HTTP (0: any free port)"
    )
    parser.add_argument("--rate", metavar="BYTES", help="the profile's rate from now on: 64KiB")
    parser.add_argument(
        "--timeout", type=_seconds, default=_TIMEOUT, metavar="SECONDS",
        help="how long to wait for its main thread (default: %(default)g)",
    )  # fmt: skip


def _pid(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise _no(f"not the number of a process: {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise _no(f"not a number of seconds: {text!r}")
    return seconds


def _no(message: str) -> argparse.ArgumentTypeError:
    from argparse import ArgumentTypeError

    return ArgumentTypeError(message)


def attach(args: argparse.Namespace) -> int:
    need_core()
    order = _order(args)
    if sys.version_info < _NEEDED:
        raise CommandError(
            "attach needs Python 3.14 or later, here and in the process; start the program with "
            "`goalloc run` instead, or enable goalloc for its environment",
            status=2,
        )
    for line in _carry_out(args.pid, order, args.timeout):
        print(line)
    return 0


def address(text: str) -> tuple[str, int]:
    """('127.0.0.1', 6060) of 6060, localhost:6060 or [::1]:6060."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise CommandError(f"not a port, or host:port: {text!r}", status=2)
    return host.strip("[]") or "127.0.0.1", int(port)


def _order(args: argparse.Namespace) -> dict[str, Any]:
    """What the process is to do, as literals."""
    from ..arguments import is_off, sample_rate
    from ..autoprofile import parse_every, parse_signal

    if args.profile is None and (args.every or args.signal):
        args.error("--every and --signal need --profile FILE")
    try:
        return {
            "package": os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
            "profile": args.profile and os.path.abspath(args.profile),
            "every": args.every and (None if is_off(args.every) else parse_every(args.every)),
            "signal": args.signal and (None if is_off(args.signal) else parse_signal(args.signal)),
            "serve": address(args.serve) if args.serve else None,
            "rate": None if args.rate is None else sample_rate(args.rate),
        }
    except ValueError as error:
        args.error(str(error))
        raise


def _carry_out(pid: int, order: dict[str, Any], timeout: float) -> list[str]:
    """Has the process carry out the order; the lines to print."""
    import shutil
    import tempfile

    folder = tempfile.mkdtemp(prefix="goalloc-attach-")
    script = os.path.join(folder, "script.py")
    order["answer"] = answer = os.path.join(folder, "answer")
    pending = False
    try:
        _write(script, _SCRIPT.format(order=order, failure=f"{answer}.failure"))
        _give_to_owner(pid, folder, script)
        _send(pid, script)
        pending = True
        pending = not _wait(pid, answer, timeout)
    finally:
        if pending and _is_there(pid):
            _write(script, _CANCELLED.format(folder=folder))
        else:
            result = _read_answer(answer)
            shutil.rmtree(folder, ignore_errors=True)
    if pending:
        raise CommandError(
            f"process {pid} did not answer within {timeout:g} s: its main thread waits or computes "
            "in C code, and would have to come back to Python; given up"
        )
    if "error" in result:
        raise CommandError(f"in process {pid}: {result['error']}")
    lines: list[str] = result["lines"]
    return lines


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _read_answer(answer: str) -> dict[str, Any]:
    """What the process has to say, or the script for it, or nothing because it ended."""
    for path, read in ((answer, json.load), (f"{answer}.failure", lambda file: {"error": file.read()})):
        try:
            with open(path, encoding="utf-8") as file:
                result: dict[str, Any] = read(file)
                return result
        except FileNotFoundError:
            pass
    return {"error": "it has ended"}


def _give_to_owner(pid: int, *paths: str) -> None:
    """Root may attach to processes of others, which can't read what is root's."""
    try:
        owner = os.stat(f"/proc/{pid}")
    except FileNotFoundError:
        raise CommandError(f"no process {pid}") from None
    if owner.st_uid != os.geteuid() and os.geteuid() == 0:
        for path in paths:
            os.chown(path, owner.st_uid, owner.st_gid)


def _send(pid: int, script: str) -> None:
    try:
        sys.remote_exec(pid, script)  # type: ignore[attr-defined, unused-ignore]
    except PermissionError:
        raise CommandError(
            f"process {pid} may not be attached to: it is another user's, or the system's rules "
            "on ptrace forbid it (kernel.yama.ptrace_scope); root may"
        ) from None
    except (OSError, RuntimeError) as error:
        raise CommandError(
            f"process {pid} cannot be attached to: {error} (it must be a running Python "
            f"{sys.version_info[0]}.{sys.version_info[1]} that allows remote debugging)"
        ) from None


def _is_there(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def _wait(pid: int, answer: str, timeout: float) -> bool:
    """Whether there is an answer, or nobody left to give one."""
    from time import monotonic, sleep

    end = monotonic() + timeout
    with progress(f"waiting for process {pid}"):
        while monotonic() < end:
            if os.path.exists(answer) or os.path.exists(f"{answer}.failure") or not _is_there(pid):
                return True
            sleep(0.02)
    return False
