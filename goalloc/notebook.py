"""goalloc in IPython and Jupyter: `%load_ext goalloc`, then `%%goalloc` and `%goalloc`."""

from __future__ import annotations

import ast
import sys

from . import __version__, hooks, process
from .arguments import rows_of_text
from .display.cells import cell_numbers
from .errors import InstallError
from .place import NOT_IN_PLACE
from .profiles.live import heap_profile
from .profiles.piece import RATE, VIEWS, CodeProfile
from .profiles.records import VALUES

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from types import CodeType, FrameType
    from typing import Any

    from .profiles.piece import _View

_HEAP_VIEWS: dict[str, Callable[[], object]] = {
    "bill": process.memory_bill,
    "profile": heap_profile,
    "classes": process.class_stats,
    "map": lambda: process.snapshot().arena_map(),
    "fragmentation": process.fragmentation,
}


_installed = False  # by %load_ext


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext goalloc`: puts goalloc in place, if it isn't yet, and adds the magics."""
    global _installed
    already = hooks.mode()
    try:
        mode = already or hooks.install()
        _installed = already is None
        seen = "all blocks" if mode == "launch" else "blocks from now on"
        print(f"goalloc {__version__} in {mode} mode: it sees {seen}.  Try %%goalloc? and %goalloc?")
    except InstallError as error:
        print(f"goalloc cannot be installed here: {error}")

    def goalloc_cell(line: str, cell: str | None = None) -> object:
        __tracebackhide__ = True  # as in all that stands between a user's line and IPython
        return _now(line) if cell is None else _profile_cell(shell, line, cell)

    goalloc_cell.__doc__ = _help()
    shell.register_magic_function(goalloc_cell, magic_kind="line_cell", magic_name="goalloc")


def unload_ipython_extension(shell: Any) -> None:
    """`%unload_ext goalloc`: takes the magics away, and goalloc if %load_ext has put it in place."""
    global _installed
    for kind in shell.magics_manager.magics.values():
        kind.pop("goalloc", None)
    if not _installed:
        mode = hooks.mode()
        stays = f"; it stays in {mode} mode, which %load_ext found it in" if mode else ""
        print(f"goalloc: %goalloc and %%goalloc are gone{stays}")
        return
    _installed = False
    hooks.uninstall()
    print("goalloc: %goalloc and %%goalloc are gone, and new blocks come from Python's own allocator again")


class _Shown:
    """The figures of a cell with the views that were asked for."""

    def __init__(self, measured: CodeProfile, options: argparse.Namespace) -> None:
        self._measured = measured
        self._view: _View = options.view
        self._n: int = options.top
        self._value: str = options.value

    def _repr_html_(self) -> str:
        return self._measured.to_html(self._view, self._n, self._value)

    def __repr__(self) -> str:
        parts = [str(self._measured)]
        if self._view in ("top", "all"):
            parts.append(str(self._measured.top(self._n, value=self._value)))
        if self._view in ("tree", "flame"):
            parts.append(str(self._measured.tree(self._value)))
        return "\n".join(parts)


def _cell_parser() -> argparse.ArgumentParser:
    from IPython.core.magic_arguments import MagicArgumentParser

    parser: argparse.ArgumentParser = MagicArgumentParser(
        "%goalloc",  # IPython puts a % before
        description="Profile a cell: what it allocated, what of it is alive, its peak, what was "
        "temporary, and which code it was.",
    )
    parser.add_argument(
        "-r", "--rate", default=str(RATE), metavar="BYTES",
        help="mean bytes between samples meanwhile, as 64KiB; 1 is exact, and slow (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("-v", "--view", choices=VIEWS, default="all", help="(default: %(default)s)")
    parser.add_argument(
        "-n", "--top", type=rows_of_text, default=10, metavar="N",
        help="rows of the table (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--value", choices=VALUES, default="alloc_space", metavar="VALUE",
        help=f"what is shown: one of {', '.join(VALUES)} (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("-o", "--output", metavar="NAME", help="variable to keep the CodeProfile in")
    return parser


def _now_parser() -> argparse.ArgumentParser:
    from IPython.core.magic_arguments import MagicArgumentParser

    parser: argparse.ArgumentParser = MagicArgumentParser("goalloc", description="The heap now.")
    parser.add_argument("view", nargs="?", choices=_HEAP_VIEWS, default="bill")
    return parser


def _help() -> str:
    return f"{_now_parser().format_help()}\n{_cell_parser().format_help()}"


def _parsed(parser: argparse.ArgumentParser, line: str) -> argparse.Namespace:
    import shlex

    from IPython.core.error import UsageError

    try:
        return parser.parse_args(shlex.split(line))
    except ValueError as error:  # a quote without its other half
        raise UsageError(str(error)) from None


def _now(line: str) -> object:
    return _HEAP_VIEWS[_parsed(_now_parser(), line).view]()


def _profile_cell(shell: Any, line: str, cell: str) -> object:
    from IPython.core.error import UsageError
    from IPython.display import display

    __tracebackhide__ = True
    options = _parsed(_cell_parser(), line)
    try:
        measured = CodeProfile(options.rate)
    except ValueError as error:
        raise UsageError(f"--rate: {error}") from None
    if options.output is not None and not _is_name(options.output):
        raise UsageError(f"--output: not a name for a variable: {options.output!r}")
    if hooks.mode() is None:
        raise UsageError(NOT_IN_PLACE)
    try:
        body, last = _compiled(shell, cell)
    except SyntaxError as error:
        raise UsageError(_told(error)) from None
    try:
        _run(measured, body, last, shell.user_ns)
    finally:
        if options.output is not None:
            shell.user_ns[options.output] = measured
        display(_Shown(measured, options))
    return None


def _is_name(text: str) -> bool:
    from keyword import iskeyword

    return text.isidentifier() and not iskeyword(text)


def _told(error: SyntaxError) -> str:
    """As Python tells it, without the name that the cell has as a file."""
    from traceback import format_exception_only

    if "outside" in str(error.msg) and ("await" in str(error.msg) or "async" in str(error.msg)):
        return (
            f"line {error.lineno}: a cell with await cannot be profiled by %%goalloc; in a plain cell "
            "`with goalloc.profile() as p:` can"
        )
    told = "".join(format_exception_only(error)).split("\n", 1)
    return f"line {error.lineno}:\n{told[1].rstrip()}" if told[0].startswith("  File") else str(error)


def _run(
    measured: CodeProfile, body: CodeType, last: CodeType | None, namespace: dict[str, Any]
) -> None:
    __tracebackhide__ = True
    value = _LastValue(last)
    measured.start(sys._getframe(), with_caller=False)
    try:
        exec(body, namespace)
        if last is not None:
            with value:
                exec(last, namespace)
    finally:
        measured.stop()
    value.show()


class _LastValue:
    """In the place of sys.displayhook while the last expression of a cell runs: keeps its value, and
    hands it on when the piece has been measured, since to print it may take more than the cell.

    What else is shown meanwhile, as by a cell that runs in this one, is handed on at once.
    """

    def __init__(self, code: CodeType | None) -> None:
        self._code = code
        self._hook: Callable[[object], object] = sys.displayhook
        self._value: object = None

    def __enter__(self) -> None:
        self._hook, sys.displayhook = sys.displayhook, self

    def __exit__(self, *exc_info: object) -> None:
        if sys.displayhook is self:  # else the cell has set another
            sys.displayhook = self._hook

    def __call__(self, value: object) -> None:
        if sys._getframe(1).f_code is self._code:
            self._value = value
        else:
            self._hook(value)

    def show(self) -> None:
        __tracebackhide__ = True
        if self._value is not None:  # which no hook shows
            self._hook(self._value)


def _running_cell(shell: Any) -> int:
    """The number of the cell that runs now; IPython 9 has counted on already when it begins."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        for number in cell_numbers([frame.f_code.co_filename]).values():
            return number
        frame = frame.f_back
    return int(shell.execution_count)


def _compiled(shell: Any, cell: str) -> tuple[CodeType, CodeType | None]:
    """The cell as IPython would run it: its last expression is shown, unless a ; stands behind it."""
    source = shell.transform_cell(cell)
    name = shell.compile.cache(source, _running_cell(shell), raw_code=cell)
    tree = shell.transform_ast(shell.compile.ast_parse(source))
    ends_with_semicolon = getattr(shell.displayhook, "semicolon_at_end_of_expression", lambda _: False)
    last = None
    if tree.body and isinstance(tree.body[-1], ast.Expr) and not ends_with_semicolon(source):
        last = shell.compile(ast.Interactive([tree.body.pop()]), name, "single")
    return shell.compile(tree, name, "exec"), last
