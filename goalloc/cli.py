"""The command line.  What each command does is in commands/, by subject.

A well-formed `run` becomes its program without argparse.  Whatever else it is, argparse answers it.
"""

from __future__ import annotations

import os
import sys

from .commands import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `run` does not return, it becomes the program."""
    words = list(sys.argv[1:] if argv is None else argv)
    own, target = run.split(words)
    error = None
    if own[:1] == ["run"]:
        options = run.parse(own)
        error = run.missing(target)
        if options is not None:
            own = own[:1]  # argparse would take a value such as -1s for an option
        if options is not None and error is None:
            try:
                run.become(options, target)
            except (ValueError, OSError) as why_not:
                error = str(why_not)
    return _by_argparse(own, error)


def _by_argparse(own: list[str], error: str | None) -> int:
    from .commands.plain import allow_any_stdout

    allow_any_stdout()
    parser = _parser()
    args, unknown = parser.parse_known_args(own)
    if unknown:
        hint = "; Python's own options go before `-m goalloc`" if args.command == "run" else ""
        args.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    if error is not None:
        args.error(error)
    return _act(args)


def _act(args: argparse.Namespace) -> int:
    from .commands import CommandError

    try:
        status: int = args.action(args)
        sys.stdout.flush()
    except BrokenPipeError:  # `goalloc classes | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except CommandError as error:
        print(f"goalloc: {error}", file=sys.stderr)
        status = error.status
    except OSError as error:
        text = error if error.filename is None else f"{error.filename}: {error.strerror}"
        print(f"goalloc: {text}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except KeyboardInterrupt:
        status = 130
    return status


def _prog() -> str:
    """The way it was called: both ways are the same, but for where goalloc is found."""
    return "goalloc" if os.path.basename(sys.argv[0]) == "goalloc" else "python -m goalloc"


def _parser() -> argparse.ArgumentParser:
    import argparse
    from importlib import import_module

    from . import __version__

    parser = argparse.ArgumentParser(
        prog=_prog(), description="Go's memory allocator under CPython."
    )
    parser.add_argument("--version", action="version", version=f"goalloc {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for subject in ("run", "info", "profiles", "attach", "enable", "kernel"):
        import_module(f"{__package__}.commands.{subject}").add(commands)
    return parser
