"""The command line: run, classes, doctor.

A well-formed `run` becomes its program without argparse, which would take half as long to import
as an interpreter takes to start.  Whatever else it is, argparse answers it.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

_RUN_FLAGS = {
    "--stats": "print statistics to stderr when it exits",
    "--no-children": "let its child Pythons have the ordinary allocator",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `run` does not return, it becomes the program."""
    words = list(sys.argv[1:] if argv is None else argv)
    own, target = _split_target(words)
    if own[:1] == ["run"] and _RUN_FLAGS.keys() >= {*own[1:]} and _missing(target) is None:
        from .launch import run

        run(target, stats="--stats" in own, children="--no-children" not in own)
    return _by_argparse(own, target)


def _by_argparse(own: list[str], target: list[str]) -> int:
    parser = _parser()
    args, unknown = parser.parse_known_args(own)
    if unknown:
        hint = "; Python's own options go before `-m goalloc`" if args.command == "run" else ""
        args.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    if args.command == "run":
        args.error(_missing(target))
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
    import argparse

    from . import __version__

    parser = argparse.ArgumentParser(
        prog=_prog(), description="Go's memory allocator under CPython."
    )
    parser.add_argument("--version", action="version", version=f"goalloc {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    flags = " ".join(f"[{flag}]" for flag in _RUN_FLAGS)
    run = commands.add_parser(
        "run",
        usage=f"%(prog)s [-h] {flags} (-m module | -c code | script | -) [args ...]",
        allow_abbrev=False,
        help="run a Python program on goalloc",
        description="Runs a Python program as python would, with goalloc as its allocator.",
    )
    for flag, meaning in _RUN_FLAGS.items():
        run.add_argument(flag, action="store_true", help=meaning)
    run.set_defaults(error=run.error)
    classes = commands.add_parser("classes", help="print the table of size classes")
    classes.set_defaults(error=classes.error)
    doctor = commands.add_parser(
        "doctor", help="say which modes work in this interpreter, why not, and what it is about"
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


def _missing(target: list[str]) -> str | None:
    """What the program of `run` lacks, or None."""
    if not target:
        return "no program: give a script, -m module, -c code, or - for standard input"
    if target in (["-m"], ["-c"]):
        return f"argument expected for {target[0]}"
    return None


def _classes() -> int:
    from .display.sizetable import sizes_text
    from .sizes import size_classes

    print(sizes_text(size_classes()))
    return 0


def _doctor() -> int:
    from .doctor import circumstances, diagnose

    version = sys.version.split()[0]
    print(f"goalloc in {sys.implementation.name} {version} ({sys.executable})")
    for name, why_not in diagnose():
        print(f"{name:<7} {'works' if why_not is None else 'does not work: ' + why_not}")
    for text in circumstances():
        print(f"here:   {text}")
    return 0
