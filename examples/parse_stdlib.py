"""Parses every module of the standard library and counts what is in it.

Real input for an allocator: millions of small objects, made file by file and dropped file by file,
except for the trees of the largest modules, which are kept to the end.

    goalloc run --stats examples/parse_stdlib.py [folder]

Another folder of Python files can be given in place of the library.
"""

import ast
import heapq
import sys
import sysconfig
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

KEPT = 50  # trees of the largest modules
SHOWN = 8  # kinds of node
STEP = 0.5  # seconds between two signs of life


def modules(folder: Path) -> list[Path]:
    """The files of the library; what is installed on top of it is not part of it."""
    added = ("site-packages", "dist-packages")
    return sorted(p for p in folder.rglob("*.py") if not any(part in added for part in p.parts))


def parse(path: Path) -> ast.Module | None:
    """None: it can't be parsed; the library has a few such files on purpose, to test with."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(path.read_bytes(), str(path))
        except (SyntaxError, ValueError):
            return None


def with_progress(paths: list[Path]) -> Iterator[Path]:
    """The same; at a terminal, how many of them are done, on a line of stderr that goes away again."""
    shown = time.perf_counter() if sys.stderr is not None and sys.stderr.isatty() else float("inf")
    for done, path in enumerate(paths):
        if time.perf_counter() - shown > STEP:
            shown = time.perf_counter()
            print(f"\r{done:,} of {len(paths):,} modules", end="", file=sys.stderr, flush=True)
        yield path
    if shown != float("inf"):
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else sysconfig.get_path("stdlib"))
    start = time.perf_counter()
    kinds: Counter[str] = Counter()
    parsed = wrong = 0
    kept: list[tuple[int, str, ast.Module]] = []
    for path in with_progress(modules(folder)):
        tree = parse(path)
        if tree is None:
            wrong += 1
            continue
        names = [type(node).__name__ for node in ast.walk(tree)]
        kinds.update(names)
        parsed += 1
        heapq.heappush(kept, (len(names), str(path), tree))
        if len(kept) > KEPT:
            heapq.heappop(kept)
    seconds = time.perf_counter() - start
    on_purpose = "" if len(sys.argv) > 1 else ", on purpose: to test with"
    print(f"{parsed:,} modules of {folder} parsed; {wrong} are no valid Python{on_purpose}")
    print(f"{kinds.total():,} nodes in {seconds:.1f} s; the {len(kept)} largest trees are kept")
    for kind, count in kinds.most_common(SHOWN):
        print(f"{count:>12,}  {kind}")


if __name__ == "__main__":
    main()
