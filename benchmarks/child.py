"""Runs inside the interpreter under measurement; prints one line of JSON.

child.py --describe     what this interpreter is
child.py JOB            JOB is JSON: one pattern to run, and what must be true while it runs
"""

import json
import os
import sys
from typing import Any


def mapped(name: str) -> bool:
    with open("/proc/self/maps") as maps:
        return any(name in line for line in maps)


def describe_goalloc() -> dict[str, Any] | None:
    """The environment of launch mode as a difference from ours; None without goalloc."""
    try:
        import goalloc
    except ImportError:
        return None
    try:
        from goalloc.launch import environment
    except ImportError:
        return {"version": goalloc.__version__, "launch": None}
    ours = dict(os.environ)
    launch = {k: v for k, v in environment(ours).items() if ours.get(k) != v}
    return {"version": goalloc.__version__, "launch": launch}


def describe() -> dict[str, Any]:
    import sysconfig

    paths = sysconfig.get_paths()
    return {
        "version": sys.version.split()[0],
        "shared": mapped("/libpython"),
        "suffix": sysconfig.get_config_var("EXT_SUFFIX"),
        "includes": sorted({paths["include"], paths["platinclude"]}),
        "goalloc": describe_goalloc(),
    }


def require_allocator(job: dict[str, Any]) -> None:
    """Fail when the contender isn't the allocator at work: its numbers would be another's."""
    if job["library"] and not mapped(os.path.basename(os.path.realpath(job["library"]))):
        sys.exit(f"{job['library']} isn't loaded")
    if job["install"]:
        import goalloc

        goalloc.install(job["install"])
    if job["mode"]:
        import goalloc

        if goalloc.mode() != job["mode"]:
            sys.exit(f"goalloc's mode is {goalloc.mode()}, not {job['mode']}")


def run(job: dict[str, Any]) -> dict[str, Any]:
    os.sched_setaffinity(0, {job["cpu"]})
    require_allocator(job)
    sys.path.insert(0, job["build_dir"])
    import _pairs

    counts = tuple(job["counts"])
    ns = _pairs.measure(job["pattern"], job["size"], counts, job["live"])
    return {"ns": ns}


if __name__ == "__main__":
    print(json.dumps(describe() if sys.argv[1] == "--describe" else run(json.loads(sys.argv[1]))))
