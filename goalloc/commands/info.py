"""`goalloc classes` and `goalloc doctor`: what is so without any program."""

from __future__ import annotations

import sys

from . import add_command, need_core

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from . import _Subparsers


def add(commands: _Subparsers) -> None:
    add_command(commands, "classes", classes, "print the table of size classes")
    add_command(
        commands,
        "doctor",
        doctor,
        "say which modes work in this interpreter, and of the others why not",
    )


def classes(args: argparse.Namespace) -> int:
    need_core()
    from ..display.sizetable import sizes_text
    from ..sizes import size_classes

    print(sizes_text(size_classes()))
    return 0


def doctor(args: argparse.Namespace) -> int:
    from ..doctor import circumstances, diagnose
    from ..unbuilt import reason
    from .enable import enabled_in

    version = sys.version.split()[0]
    print(f"goalloc in {sys.implementation.name} {version} ({sys.executable})")
    nothing = reason()
    if nothing is not None:
        print(f"nothing works: {nothing}")
        return 1
    for name, why_not in diagnose():
        print(f"{name:<7} {'works' if why_not is None else 'does not work: ' + why_not}")
    folder = enabled_in()
    in_force = "not in force in this environment" if folder is None else f"in force, by files in {folder}"
    print(f"enable  {in_force}")
    for text in circumstances():
        print(f"here:   {text}")
    return 0
