"""The command line.  What each command does is in commands/, by subject.

A well-formed `run` becomes its program without argparse.  Whatever else it is, argparse answers it.
"""

from __future__ import annotations

import os
import sys

from .commands import CommandError, required, run

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `run` does not return, it becomes the program."""
    _replace_closed_streams()
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
            except CommandError as why_not:
                return _fail(why_not)
    return _by_argparse(own, error)


def _replace_closed_streams() -> None:
    """Those that were closed before Python began: nothing comes, what is printed is an error, and
    what is said of it is lost.

    A program that is run inherits none of them.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            access = os.O_RDONLY if name == "stdout" else os.O_RDWR
            setattr(sys, name, open(os.open(os.devnull, access), mode, closefd=False))


def _by_argparse(own: list[str], error: str | None) -> int:
    from contextlib import redirect_stdout

    from .commands.plain import allow_any_stdout
    from .commands.stdout import Stdout

    allow_any_stdout()
    with redirect_stdout(Stdout(sys.stdout)):
        return _act(own, error)


def _read(own: list[str], error: str | None) -> argparse.Namespace:
    parser = _parser()
    args, unknown = parser.parse_known_args(own)
    if unknown:
        hint = ""
        if args.command == "run":
            hint = "; Python's own options go first: `python -X utf8 -m goalloc run ...`"
        args.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    if error is not None:
        args.error(error)
    return args


def _fail(error: CommandError) -> int:
    print(f"goalloc: {error}", file=sys.stderr)
    return error.status


def _act(own: list[str], error: str | None) -> int:
    try:
        try:
            args = _read(own, error)
            status: int = args.action(args)
        finally:  # argparse prints its help and exits
            sys.stdout.flush()
    except BrokenPipeError:  # `goalloc classes | head`: the reader has seen enough
        from .commands.stdout import drop_rest

        drop_rest()
        status = 0
    except CommandError as why_not:
        status = _fail(why_not)
    except OSError as why_not:
        text = why_not if why_not.filename is None else f"{why_not.filename}: {why_not.strerror}"
        print(f"goalloc: {text}", file=sys.stderr)
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
    parser.set_defaults(error=parser.error, action=required("command"))
    commands = parser.add_subparsers(dest="command", metavar="command")
    for subject in ("run", "info", "profiles", "attach", "enable", "kernel"):
        import_module(f"{__package__}.commands.{subject}").add(commands)
    return parser
