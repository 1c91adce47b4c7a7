"""Instructions of each tier of malloc and free, counted by callgrind, against a golden file.

    python benchmarks/golden.py            count, and compare: exit status 1 where a tier differs
    python benchmarks/golden.py --write    count, and write the golden file

drivers/golden.c makes one call for each tier.  Counts depend on the compiler, the C library and the
machine: the file says which they were, and numbers from others are not compared (exit status 3).
"""

import argparse
import json
import platform
import re
import shutil
import sys
import tempfile
from pathlib import Path

import report
from drivers import FLAGS, Drivers, compiler
from interpreter import ChildFailed
from report import Result, Section, Table

KIND = "golden"
FILE = report.RESULTS / f"{KIND}-{platform.machine()}.json"
_SAME, _DIFFERENT, _UNUSABLE, _INCOMPARABLE = range(4)
_TIER = re.compile(r"^desc: Trigger: Client Request: (.+)$", re.MULTILINE)
_TOTAL = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)
_NOTHING = "nothing"

Golden = dict[str, dict[str, str] | dict[str, int]]


def toolchain() -> dict[str, str]:
    """What the counts depend on besides the sources."""
    flags = " ".join(flag for flag in FLAGS if not flag.startswith("-iquote"))
    libc = " ".join(platform.libc_ver())
    return {"compiler": compiler(), "flags": flags, "libc": libc, "machine": platform.machine()}


def count(drivers: Drivers) -> dict[str, int]:
    """Instructions by tier, in the order of the driver."""
    out = drivers.directory / "callgrind.out"
    drivers.execute(
        "valgrind", "--tool=callgrind", "--quiet", "--collect-atstart=no",
        f"--callgrind-out-file={out}", str(drivers.program("golden")),
    )  # fmt: skip
    dumps = [path for path in out.parent.glob(f"{out.name}.*") if path.suffix[1:].isdigit()]
    counts: dict[str, int] = {}
    for path in sorted(dumps, key=lambda path: int(path.suffix[1:])):
        text = path.read_text()
        tier, total = _TIER.search(text), _TOTAL.search(text)
        if tier and total:
            counts[tier[1]] = int(total[1])
    if _NOTHING not in counts:
        raise ChildFailed("callgrind wrote no dumps")
    own = counts.pop(_NOTHING)
    return {tier: total - own for tier, total in counts.items()}


def differences(old: dict[str, int], new: dict[str, int]) -> list[str]:
    """A line for each tier that differs; `-`: it is not there."""
    return [
        f"{tier}: {old.get(tier, '-')} -> {new.get(tier, '-')}"
        for tier in dict.fromkeys([*old, *new])
        if old.get(tier) != new.get(tier)
    ]


def check(counts: dict[str, int], golden: Golden) -> int:
    for name, value in toolchain().items():
        if golden["toolchain"].get(name) != value:
            print(f"not compared: the {name} is {value}, that of the golden file was "
                  f"{golden['toolchain'].get(name)}")  # fmt: skip
            return _INCOMPARABLE
    found = differences(golden["tiers"], counts)  # type: ignore[arg-type]
    print("\n".join(found) if found else "all tiers as in the golden file")
    return _DIFFERENT if found else _SAME


def write(counts: dict[str, int], file: Path) -> None:
    golden = {"toolchain": toolchain(), "tiers": counts}
    file.write_text(json.dumps(golden, indent=1) + "\n")


def tables(result: Result) -> list[Table]:
    return [[["tier", "instructions"], *([tier, str(n)] for tier, n in result["tiers"].items())]]


def _where(result: Result) -> str:
    return ", ".join(result["toolchain"][name] for name in ("machine", "compiler", "libc"))


SECTION = Section(KIND, tables, describe=_where)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="make what is counted the golden file")
    parser.add_argument("--file", type=Path, default=FILE, help="default: %(default)s")
    options = parser.parse_args(argv)
    if shutil.which("valgrind") is None:
        parser.error("needs valgrind")
    try:
        with tempfile.TemporaryDirectory(prefix="goalloc-benchmarks-") as scratch:
            counts = count(Drivers(Path(scratch)))
    except (ChildFailed, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return _UNUSABLE
    if options.write:
        write(counts, options.file)
        return _SAME
    return check(counts, json.loads(options.file.read_text()))


if __name__ == "__main__":
    sys.exit(main())
