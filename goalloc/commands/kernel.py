"""`goalloc kernel install`: a Jupyter kernel whose interpreter starts on goalloc.

jupyter_client knows where kernels go; the kernel itself is ipykernel, started by `goalloc run`.  The
kernel's process is the one that Jupyter started, so that interrupting and restarting work.
"""

from __future__ import annotations

import sys

from . import CommandError, add_command, need_core, required

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from . import _Subparsers

_NAME = "goalloc"


def add(commands: _Subparsers) -> None:
    parser = add_command(
        commands, "kernel", required("action"), "add a Jupyter kernel that runs on goalloc"
    )
    actions = parser.add_subparsers(dest="action_name", metavar="action")
    install = add_command(
        actions,
        "install",
        install_kernel,
        "add the kernel to those that Jupyter offers",
        "Adds a kernel to those that Jupyter offers, for this Python with its packages. "
        "`jupyter kernelspec remove` takes it out again.",
    )
    where = install.add_mutually_exclusive_group()
    where.add_argument("--user", action="store_true", help="for this user (the default)")
    where.add_argument("--sys-prefix", action="store_true", help="in this virtual environment")
    where.add_argument("--prefix", type=_name, metavar="FOLDER", help="below FOLDER/share/jupyter/kernels")
    install.add_argument("--name", type=_name, default=_NAME, help="folder name (default: %(default)s)")
    install.add_argument("--display-name", metavar="TEXT", help="what Jupyter calls it")
    install.add_argument("--rate", metavar="BYTES", help="rate of its heap profile, such as 64KiB")


def _name(text: str) -> str:
    """Jupyter takes an empty one for none, and would install somewhere else."""
    if not text:
        from argparse import ArgumentTypeError

        raise ArgumentTypeError("the name is empty")
    return text


def specification(display_name: str | None, rate: str | None) -> dict[str, Any]:
    """The contents of kernel.json."""
    version = ".".join(map(str, sys.version_info[:2]))
    options = [] if rate is None else ["--rate", rate]
    program = ["-m", "ipykernel_launcher", "-f", "{connection_file}"]
    return {
        "argv": [sys.executable, "-m", "goalloc", "run", *options, *program],
        "display_name": display_name or f"Python {version} (goalloc)",
        "language": "python",
        "metadata": {"debugger": True},
    }


def install_kernel(args: argparse.Namespace) -> int:
    import json
    import os
    import shutil
    import tempfile

    from .run import settings

    need_core()
    try:
        settings({} if args.rate is None else {"--rate": args.rate})
    except ValueError as error:
        args.error(str(error))
    kernelspec, resources = _jupyter()
    prefix = sys.prefix if args.sys_prefix else args.prefix
    with tempfile.TemporaryDirectory() as folder:
        for name in ("logo-32x32.png", "logo-64x64.png", "logo-svg.svg"):
            if os.path.exists(picture := os.path.join(resources, name)):
                shutil.copyfile(picture, os.path.join(folder, name))
        with open(os.path.join(folder, "kernel.json"), "w", encoding="utf-8") as file:
            json.dump(specification(args.display_name, args.rate), file, indent=1)
        os.chmod(folder, 0o755)
        try:
            place = kernelspec.KernelSpecManager().install_kernel_spec(
                folder, args.name, user=prefix is None, prefix=prefix
            )
        except ValueError as error:  # a name that is none
            raise CommandError(str(error), status=2) from None
        except OSError as error:  # a place where none can be made
            what = error.filename or prefix or "the folder of kernels"
            raise CommandError(f"{what}: {error.strerror or error}", status=2) from None
    print(f"kernel {args.name} installed in {place}")
    return 0


def _jupyter() -> tuple[Any, str]:
    """jupyter_client.kernelspec, and the folder of ipykernel's pictures."""
    import os
    from importlib.util import find_spec

    found = find_spec("ipykernel")
    try:
        from jupyter_client import kernelspec
    except ImportError:
        found = None
    if found is None or not found.submodule_search_locations:
        raise CommandError(
            "a kernel needs ipykernel and jupyter_client here: pip install ipykernel"
        )
    return kernelspec, os.path.join(found.submodule_search_locations[0], "resources")
