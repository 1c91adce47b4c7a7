"""The dotted name of the module that a source file is, for files of this process and of others."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# What packages lie in: the last of these in a path ends what is not part of a module's name.
_ROOTS = ("/site-packages/", "/dist-packages/", ".zip/")
_FROZEN = "<frozen "
# What is typed: at a prompt, in IPython, in a notebook.
_TYPED = ("<stdin>", "<python-input-", "<ipython-input-")
_CELLS = "/ipykernel_"


def loaded_modules() -> dict[str, str]:
    """The modules of this process by file.  Looks without asking: a lazy module stays unloaded."""
    found = {}
    module_type = type(sys)
    for name, module in list(sys.modules.items()):
        if isinstance(module, module_type):
            attributes = module_type.__getattribute__(module, "__dict__")
            path = attributes.get("__file__")
            if path is None and name == "__main__":
                path = _script(attributes)
            if isinstance(path, str) and (path not in found or name == "__main__"):
                found[path] = name
    if getattr(sys, "argv", [""])[:1] == ["-c"]:
        found["<string>"] = "__main__"
    return found


def _script(attributes: Mapping[str, object]) -> object:
    """The file of a main module that has ended: Python takes __file__ away then, not the loader."""
    from _frozen_importlib_external import SourceFileLoader

    loader = attributes.get("__loader__")
    return loader.path if type(loader) is SourceFileLoader else None


def module_of(filename: str, known: Mapping[str, str] | None = None) -> str:
    """The module of a file: as it is known, or else as its path tells.

    >>> module_of("/usr/lib/python3.13/json/decoder.py")
    'json.decoder'
    >>> module_of("<frozen importlib._bootstrap>")
    'importlib._bootstrap'
    """
    if known and filename in known:
        return known[filename]
    if filename.startswith(_TYPED) or _CELLS in filename:
        return "__main__"
    if filename.startswith("<"):
        return filename[len(_FROZEN) : -1] if filename.startswith(_FROZEN) else filename
    path = _below_root(filename)
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _below_root(filename: str) -> str:
    """The part of a path that names packages: of a file that lies nowhere known, the last."""
    for root in _ROOTS:
        _, found, path = filename.rpartition(root)
        if found:
            return path
    _, found, path = filename.rpartition("/python3.")
    version, _, path = path.partition("/")
    if found and version.rstrip("t").isdigit():
        return path.removeprefix("lib-dynload/")
    return filename.rpartition("/")[2]


def go_package(function: str) -> str:
    """The package of a function of Go: 'net/http' of 'net/http.(*Server).Serve'."""
    path = function.partition("(")[0].partition("[")[0]
    folder, slash, name = path.rpartition("/")
    package, dot, _ = name.partition(".")
    return folder + slash + package if dot else ""
