"""The commands of the command line, by subject.  Each imports what it needs when it is called."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from typing import TypeAlias

    _Subparsers: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]


class CommandError(Exception):
    """One sentence for the user; the command ends with this status."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def need_core() -> None:
    """Before what uses the core: files of profiles are read without it."""
    from ..unbuilt import reason

    why_not = reason()
    if why_not is not None:
        raise CommandError(why_not, status=2)


def add_command(
    commands: _Subparsers,
    name: str,
    action: Callable[[argparse.Namespace], int],
    help: str,
    description: str | None = None,
) -> argparse.ArgumentParser:
    """A subparser whose action returns the exit status."""
    text = description or help[0].upper() + help[1:] + "."
    parser = commands.add_parser(name, help=help, description=text)
    parser.set_defaults(action=action, error=parser.error)
    return parser


def required(what: str) -> Callable[[argparse.Namespace], int]:
    """The action where a word is missing.  Not left to argparse, which would ask for it before it tells
    of an option that it does not know."""

    def action(args: argparse.Namespace) -> int:
        args.error(f"the following arguments are required: {what}")
        return 2

    return action
