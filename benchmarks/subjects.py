"""Interpreters and contenders as the harnesses of whole programs see them."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from contenders import Contender, choose
from interpreter import CHILD, HERE, Interpreter, clean_environment, run_json
from runner import machine

_PROBE = (
    "import sys, json; sys.path.insert(0, sys.argv[2]); import child; "
    "child.require_allocator(json.loads(sys.argv[1])); print('{}')"
)
_PRELOAD = "/goalloc/_preload"


def look_at(path: str, scratch: Path) -> Interpreter:
    """What an interpreter is; scratch becomes the working directory of its processes."""
    path = os.path.abspath(shutil.which(path) or path)
    scratch.mkdir(parents=True, exist_ok=True)
    facts = run_json([path, str(CHILD), "--describe"], clean_environment(), scratch)
    return Interpreter(path, scratch, facts["version"], facts["shared"], facts["goalloc"])


def contenders(python: Interpreter, names: list[str]) -> list[Contender]:
    """Stock and those asked for, each one probed: its allocator is at work, or ChildFailed."""
    chosen = choose(python, names, "stock")
    for contender in chosen:
        requirements = json.dumps(contender.requirements())
        command = [python.path, *contender.args, "-c", _PROBE, requirements, str(HERE)]
        run_json(command, contender.environment(), python.build_dir)
    return chosen


def _library(contender: Contender) -> str | None:
    """What /proc/self/maps names when this contender's allocator is there."""
    if contender.library:
        return os.path.basename(os.path.realpath(contender.library))
    return _PRELOAD if contender.mode == "launch" else None


def libraries(contender: Contender, among: list[Contender]) -> dict[str, list[str]]:
    """The part of a child's job that says what must be mapped, and that nothing else is."""
    return {
        "libraries": sorted({name for other in among if (name := _library(other))}),
        "wanted": [name for name in [_library(contender)] if name],
    }


def headed(kind: str, python: Interpreter, chosen: list[Contender]) -> dict[str, Any]:
    """The start of every result: what was measured, and where."""
    return {
        "kind": kind,
        "python": python.label,
        "goalloc": python.goalloc and python.goalloc["version"],
        "libraries": {c.name: Path(c.library).resolve().name for c in chosen if c.library},
        "machine": machine(),
    }
