"""The command line: run, classes, doctor."""

from __future__ import annotations

import argparse
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_RUN_USAGE = (
    "%(prog)s [-h] [--stats] [--no-children] (-m module | -c code | script | -) [args ...]"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `run` does not return, it becomes the program."""
    words = list(sys.argv[1:] if argv is None else argv)
    own, target = _split_target(words)
    parser = _parser()
    args, unknown = parser.parse_known_args(own)
    if unknown:
        hint = "; Python's own options go before `-m goalloc`" if args.command == "run" else ""
        args.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    if args.command == "run":
        return _run(args, target)
    try:
        status = _classes() if args.command == "classes" else _doctor()
        sys.stdout.flush()
    except BrokenPipeError:  # `goalloc classes | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except OSError as error:
        print(f"goalloc: {error}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    return status


def _prog() -> str:
    """The way it was called: both ways are the same, but for where goalloc is found."""
    return "goalloc" if os.path.basename(sys.argv[0]) == "goalloc" else "python -m goalloc"


def _parser() -> argparse.ArgumentParser:
    from . import __version__

    parser = argparse.ArgumentParser(
        prog=_prog(), description="Go's memory allocator under CPython."
    )
    parser.add_argument("--version", action="version", version=f"goalloc {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    run = commands.add_parser(
        "run",
        usage=_RUN_USAGE,
        allow_abbrev=False,
        help="run a Python program on goalloc",
        description="Runs a Python program as python would, with goalloc as its allocator.",
    )
    run.add_argument(
        "--stats", action="store_true", help="print statistics to stderr when it exits"
    )
    run.add_argument(
        "--no-children",
        action="store_true",
        help="let its child Pythons have the ordinary allocator",
    )
    run.set_defaults(error=run.error)
    classes = commands.add_parser("classes", help="print the table of size classes")
    classes.set_defaults(error=classes.error)
    doctor = commands.add_parser(
        "doctor", help="say which modes work in this interpreter, and why not"
    )
    doctor.set_defaults(error=doctor.error)
    return parser


def _split_target(words: list[str]) -> tuple[list[str], list[str]]:
    """Parts `run`'s own options from the program and its arguments, which are not ours to read."""
    if words[:1] != ["run"]:
        return words, []
    for i, word in enumerate(words[1:], 1):
        if word == "--":
            return words[:i], words[i + 1 :]
        if not word.startswith("-") or word == "-" or word[1] in "mc":
            return words[:i], words[i:]
    return words, []


def _run(args: argparse.Namespace, target: list[str]) -> int:
    if not target:
        args.error("no program: give a script, -m module, -c code, or - for standard input")
    if target in (["-m"], ["-c"]):
        args.error(f"argument expected for {target[0]}")
    from .launch import run

    run(target, stats=args.stats, children=not args.no_children)


def _classes() -> int:
    from .display.sizetable import sizes_text
    from .sizes import size_classes

    print(sizes_text(size_classes()))
    return 0


def _doctor() -> int:
    from .doctor import diagnose

    version = sys.version.split()[0]
    print(f"goalloc in {sys.implementation.name} {version} ({sys.executable})")
    for name, why_not in diagnose():
        print(f"{name:<7} {'works' if why_not is None else 'does not work: ' + why_not}")
    return 0
