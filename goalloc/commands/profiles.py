"""`goalloc top`, `tree`, `flamegraph`, `diff`, `speedscope`, `pprof` and `stats`: heap profiles in files.

Several files are added up, such as those of a program and its workers.
"""

from __future__ import annotations

import os

from ..arguments import levels_of_text, rows_of_text
from . import CommandError, add_command
from .progress import progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from typing import Literal

    from ..profiles.profile import HeapProfile
    from . import _Subparsers

_BAD_FILE = 2


def add(commands: _Subparsers) -> None:
    _add(commands, "top", top, "the functions with the most, of a heap profile")
    _add(commands, "tree", tree, "the tree of calls of a heap profile")
    _add(commands, "flamegraph", flamegraph, "a heap profile as a flame graph in an HTML file")
    _add(commands, "diff", diff, "what has changed from one heap profile to another", files="two")
    _add(commands, "speedscope", speedscope, "a heap profile as a file for speedscope.app")
    _add(commands, "pprof", pprof, "a heap profile as a file that Go's tools compare with any of Go's")
    _add(commands, "stats", stats, "what a heap profile holds: totals, domains, threads, sizes")


def _add(
    commands: _Subparsers,
    name: str,
    action: Callable[[argparse.Namespace], int],
    help: str,
    files: str = "many",
) -> None:
    from ..profiles.records import BY_FRAMES, BY_SAMPLES, LINES_OF_TREE, VALUES

    parser = add_command(commands, name, action, help)
    if files == "two":
        parser.add_argument("base", metavar="BASE", help="the earlier one")
        parser.add_argument("files", nargs=1, metavar="FILE", help="the later one")
        parser.add_argument(
            "--flamegraph", metavar="OUT", dest="output", help="write a flame graph too"
        )
    else:
        parser.add_argument(
            "files", nargs="+", metavar="FILE", help="a profile in pprof's format; - is stdin"
        )
    if name not in ("speedscope", "pprof", "stats"):
        parser.add_argument(
            "--value", choices=VALUES, default="inuse_space", metavar="VALUE",
            help=f"one of {', '.join(VALUES)} (default: %(default)s)",
        )  # fmt: skip
    if name in ("top", "diff"):
        parser.add_argument("-n", type=rows_of_text, default=20, help="rows (default: %(default)s)")
        _add_by(parser, BY_FRAMES + BY_SAMPLES)
        parser.add_argument(
            "--cum", action="store_true", help="sort by what a row and all that it called did"
        )
    if name == "tree":
        parser.add_argument(
            "-n", type=rows_of_text, default=LINES_OF_TREE, help="rows (default: %(default)s)"
        )
        parser.add_argument(
            "--depth", type=levels_of_text, metavar="LEVELS",
            help="only so many levels of calls; a total has what is below (default: all)",
        )  # fmt: skip
        _add_by(parser, BY_FRAMES)
    if name in ("top", "diff", "tree", "flamegraph"):
        parser.add_argument(
            "--no-fold", action="store_false", dest="fold",
            help="show every frame: else what imports modules, starts programs and runs cells is one "
            "line, in tables none where it allocated nothing itself",
        )  # fmt: skip
    if name in ("flamegraph", "speedscope", "pprof"):
        parser.add_argument(
            "-o", metavar="OUT", dest="output",
            help="the file to write; - is stdout (default: FILE in this folder with another ending; "
            "none where FILE is -)",
        )  # fmt: skip
    if name == "pprof":
        parser.add_argument(
            "--peak", action="store_true", help="with the values at the peak, besides Go's four"
        )


def _add_by(parser: argparse.ArgumentParser, choices: Sequence[str]) -> None:
    parser.add_argument(
        "--by", choices=choices, default="function", help="what a row is (default: %(default)s)"
    )


def _read(path: str) -> HeapProfile:
    if not path:
        raise CommandError("the name of a file is empty", _BAD_FILE)
    if path.startswith(("http://", "https://")):
        raise CommandError(
            f"{path}: profiles are read from files: fetch it by curl -o heap.pb.gz '{path}'", _BAD_FILE
        )
    try:
        with progress(f"reading {path}"):
            return _read_stdin() if path == "-" else _read_file(path)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or error}", _BAD_FILE) from None
    except ValueError as error:
        raise CommandError(str(error), _BAD_FILE) from None


def _read_file(path: str) -> HeapProfile:
    from .. import read_profile

    return read_profile(path)


def _read_stdin() -> HeapProfile:
    import sys

    from .. import HeapProfile
    from ..profiles.pprof_read import LIMIT

    try:
        return HeapProfile.from_pprof(sys.stdin.buffer.read(LIMIT + 1))
    except ValueError as error:
        raise ValueError(f"standard input: {error}") from None


def _read_all(paths: Sequence[str]) -> HeapProfile:
    _stdin_once(paths)
    first, *others = map(_read, paths)
    if not others:
        return first
    with progress("adding up"):
        return first.merge(others)


def _stdin_once(paths: Sequence[str]) -> None:
    if paths.count("-") > 1:
        raise CommandError("standard input can be read only once", _BAD_FILE)


def _checked(profile: HeapProfile, value: str) -> None:
    """pprof files need not have values at the peak."""
    try:
        profile.values(value)
    except ValueError as error:
        raise CommandError(str(error), _BAD_FILE) from None


def _output(args: argparse.Namespace, ending: str) -> str:
    """Where to write: heap.pb.gz becomes heap.html in the current folder."""
    if args.output is not None:
        _check_output(str(args.output), args.files)
        return str(args.output)
    name = os.path.basename(str(args.files[0]))
    if name == "-":
        raise CommandError("standard input has no name: say by -o what to write", _BAD_FILE)
    for known in (".pb.gz", ".gz", ".pb", ".pprof", ".prof"):
        if name.endswith(known):
            name = name[: -len(known)]
            break
    path = name.removesuffix(ending.removesuffix(".pb.gz")) + ending  # heap.go.pb.gz has been converted
    _check_not_read(path, args.files)
    return path


def _check_output(path: str, inputs: Sequence[str]) -> None:
    """Before the work: whether a file can be there at all, and is none of those that are read."""
    from ..profiles.files import check_place

    if path == "-":
        return
    if not path:
        raise CommandError("the name of a file is empty", _BAD_FILE)
    _check_not_read(path, inputs)
    in_a_folder = os.path.basename(path) and os.path.isdir(os.path.dirname(path) or ".")
    if not os.path.isdir(path) and not in_a_folder:
        raise CommandError(f"{path}: No such file or directory", _BAD_FILE)
    try:
        check_place(path)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", _BAD_FILE) from None


def _check_not_read(path: str, inputs: Sequence[str]) -> None:
    """By whatever name: a profile would be gone."""
    for name in inputs:
        try:
            same = os.path.samestat(os.stat(path), os.stat(0 if name == "-" else name))
        except (OSError, ValueError):  # one is not there: who reads or writes it says so
            continue
        if same and os.path.isfile(path):
            raise CommandError(f"{path} is read here, and would be lost: name another file to write", _BAD_FILE)


def _save(path: str, content: str | bytes) -> None:
    """To a file, and says so; "-" is standard output."""
    from ..profiles.files import write_whole

    if path == "-":
        _to_stdout(content)
        return
    try:
        write_whole(path, content)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or error}", _BAD_FILE) from None
    print(f"written to {path}")


def _to_stdout(content: str | bytes) -> None:
    import sys

    if isinstance(content, str):
        print(content)
        return
    if sys.stdout.isatty():
        raise CommandError("that is no text for a terminal: give a file by -o", _BAD_FILE)
    from .stdout import named

    with named():
        sys.stdout.buffer.write(content)


def top(args: argparse.Namespace) -> int:
    return _print_top(_read_all(args.files), args)


def _print_top(profile: HeapProfile, args: argparse.Namespace) -> int:
    _checked(profile, args.value)
    with progress("summing up"):
        sort: Literal["flat", "cum"] = "cum" if args.cum else "flat"
        table = profile.top(args.n, by=args.by, value=args.value, sort=sort, fold=args.fold)
    print(table)
    return 0


def tree(args: argparse.Namespace) -> int:
    profile = _read_all(args.files)
    _checked(profile, args.value)
    with progress("summing up"):
        shown = profile.tree(args.value, by=args.by, fold=args.fold)
        text = shown.to_text(lines=args.n, depth=args.depth)
    print(text)
    return 0


def flamegraph(args: argparse.Namespace) -> int:
    path = _output(args, ".html")
    return _draw(_read_all(args.files), path, args)


def _draw(profile: HeapProfile, path: str, args: argparse.Namespace) -> int:
    _checked(profile, args.value)
    with progress("drawing"):
        page = profile.flamegraph(args.value, fold=args.fold).to_html()
    _save(path, page)
    return 0


def diff(args: argparse.Namespace) -> int:
    _stdin_once([args.base, *args.files])
    if args.output is not None:
        if args.output == "-":
            args.error("--flamegraph: standard output has the table; give a file")
        _check_output(args.output, [args.base, *args.files])
    base, profile = _read(args.base), _read(args.files[0])
    with progress("comparing"):
        change = profile.diff(base)
    _print_top(change, args)
    return 0 if args.output is None else _draw(change, args.output, args)


def speedscope(args: argparse.Namespace) -> int:
    import json

    path = _output(args, ".speedscope.json")
    profile = _read_all(args.files)
    with progress("writing"):
        document = json.dumps(profile.to_speedscope())
    _save(path, document)
    return 0


def pprof(args: argparse.Namespace) -> int:
    path = _output(args, ".go.pb.gz")
    profile = _read_all(args.files)
    if args.peak:
        _checked(profile, "peak_space")
    with progress("writing"):
        data = profile.to_pprof(peak=args.peak)
    _save(path, data)
    return 0


def stats(args: argparse.Namespace) -> int:
    from .summary import summary

    with progress("summing up"):
        text = summary(_read_all(args.files))
    print(text)
    return 0
