"""`goalloc run`: read by hand, because argparse would take half as long to import as an interpreter
takes to start.  Whatever is not well formed is left to argparse, for its message.
"""

from __future__ import annotations

from . import need_core

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import NoReturn

    from . import _Subparsers

FLAGS = {
    "--stats": "print statistics to stderr when it exits",
    "--no-children": "let Pythons that it starts have the ordinary allocator; its forks stay on goalloc",
}
VALUES = {
    "--profile": ("FILE", "write a heap profile there when it ends; children add their pid"),
    "--every": ("TIME", "and every so often: 60s, 5m, 1h"),
    "--signal": ("SIGNAL", "and at this signal, numbered: SIGUSR2"),
    "--rate": ("BYTES", "sample a block about every so many bytes: 64KiB; 1 all, 0 none"),
}
_RATE = "GOALLOC_PROFILE_RATE"


def split(words: list[str]) -> tuple[list[str], list[str]]:
    """Parts `run` and its options from the program and its arguments, which are not ours to read."""
    if words[:1] != ["run"]:
        return words, []
    rest = iter(range(1, len(words)))
    for i in rest:
        word = words[i]
        if word == "--":
            return words[:i], words[i + 1 :]
        if not word.startswith("-") or word == "-" or word[1] in "mc":
            return words[:i], words[i:]
        if word in VALUES:
            next(rest, None)
    return words, []


def missing(target: list[str]) -> str | None:
    """What the program of `run` lacks, or None."""
    if not target:
        return "no program: give a script, -m module, -c code, or - for standard input"
    if target in (["-m"], ["-c"]):
        return f"argument expected for {target[0]}"
    return None


def parse(own: list[str]) -> dict[str, str] | None:
    """The options of `run` and their values, or None if there is one that it does not have."""
    options: dict[str, str] = {}
    rest = iter(own[1:])
    for word in rest:
        name, given, value = word.partition("=")
        if name in VALUES:
            value = value if given else next(rest, "")
            if not value or (not given and value.startswith("-") and not value[1:2].isdigit()):
                return None
        elif word not in FLAGS:
            return None
        options[name] = value
    return options


def settings(options: dict[str, str], target: Sequence[str] = ()) -> dict[str, str]:
    """The environment that says to the program what the options ask for, beside launch's own.

    Raises ValueError or OSError with a message for the user.
    """
    extra = {}
    if "--rate" in options:
        from ..arguments import sample_rate

        try:
            sample_rate(options["--rate"])
        except ValueError as error:
            raise ValueError(f"--rate: {error}") from None
        extra[_RATE] = options["--rate"]
    if "--profile" in options:
        from ..autoprofile import environment

        path = options["--profile"]
        _check_not_off(options.get("--rate"))
        _check_not_the_program(path, target)
        extra.update(environment(path, options.get("--every"), options.get("--signal")))
    else:
        for name in ("--every", "--signal"):
            if name in options:
                raise ValueError(f"{name} needs --profile FILE")
    return extra


def _check_not_off(given: str | None) -> None:
    """given: --rate, if it is.  Of what is no rate in the environment the core tells."""
    import os

    from ..arguments import sample_rate

    text = given or os.environ.get(_RATE)
    try:
        off = bool(text) and not sample_rate(text)
    except ValueError:
        return
    if off:
        what = f"--rate {text}" if given else f"{_RATE}={text}"
        raise ValueError(f"{what} turns the profile off, and --profile asks for one")


def _check_not_the_program(path: str, target: Sequence[str]) -> None:
    """An empty one, which would be no loss to others."""
    import os

    try:
        same = os.path.samefile(path, target[0])
    except (IndexError, OSError, ValueError):  # one is not there
        return
    if same:
        raise ValueError(f"--profile names the program itself, {path}: name another file, such as heap.pb.gz")


def become(options: dict[str, str], target: list[str]) -> NoReturn:
    """Becomes the program; raises as settings() does, and CommandError where nothing is built."""
    from ..launch import preload_path, run

    if preload_path() is None:  # the core lies beside it; to import that would cost each run
        need_core()
    run(
        target,
        stats="--stats" in options,
        children="--no-children" not in options,
        extra=settings(options, target),
    )


def add(commands: _Subparsers) -> None:
    usage = [f"[{flag}]" for flag in FLAGS]
    usage += [f"[{name} {value}]" for name, (value, _) in VALUES.items()]
    parser = commands.add_parser(
        "run",
        usage=f"%(prog)s [-h] {' '.join(usage)} (-m module | -c code | script | -) [args ...]",
        allow_abbrev=False,
        help="run a Python program on goalloc",
        description="Runs a Python program as python would, with goalloc as its allocator.",
    )
    for flag, meaning in FLAGS.items():
        parser.add_argument(flag, action="store_true", help=meaning)
    for name, (value, meaning) in VALUES.items():
        parser.add_argument(name, metavar=value, help=meaning)
    parser.set_defaults(error=parser.error, action=_refuse)


def _refuse(args: argparse.Namespace) -> int:
    """argparse takes an empty value, and nothing else that is not well formed."""
    args.error(f"{', '.join(VALUES)} need a value that is not empty")
    return 2
