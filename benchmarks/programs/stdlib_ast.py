"""The syntax trees of the standard library: parsed, walked, unparsed in part, compiled."""

import ast
import sysconfig
import zlib
from pathlib import Path


def main(scale: float) -> int:
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("[a-z]*.py"))
    total = 0
    for file in files[: max(1, int(len(files) * 0.15 * scale))]:
        tree = ast.parse(file.read_text("utf-8"))
        nodes = sum(1 for _ in ast.walk(tree))
        code = compile(tree, file.name, "exec")
        total += nodes + len(code.co_consts) + zlib.crc32(ast.unparse(tree.body[-1]).encode())
    return total
