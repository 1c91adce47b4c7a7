"""Two ways to run tests, stock and goalloc, and what differs: for each test case."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

TRIES = 3

# {"how": the end of the process, "seconds": ..., "cases": {name: outcome}, "tail": output}
Run = dict[str, Any]


def cases_of_report(report: Path) -> dict[str, str]:
    """{name: 'passed', 'failure', 'error' or 'skipped'} of a JUnit file; {} if there is none."""
    cases: dict[str, str] = {}
    if not report.exists():
        return cases
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
        name = ".".join(filter(None, (case.get("classname"), case.get("name"))))
        if name:  # without: one whose subtests failed
            # A subtest's name may show objects: where they are is not what it is called.
            cases[re.sub(r"\b0x[0-9a-f]+", "0x...", name)] = min(kinds, default="passed")
    return cases


def _endings(runs: list[Run]) -> dict[str, set[str]]:
    """Of the file as a whole ('') and of each case: the ways in which it ended."""
    found: dict[str, set[str]] = {"": {run["how"] for run in runs}}
    for run in runs:
        for case, ending in run["cases"].items():
            found.setdefault(case, set()).add(ending)
    return found


def differences(stock: list[Run], ours: list[Run]) -> dict[str, Any]:
    """{'differs': {case: [stock, ours]}, 'unsteady': the same}; '' is the file as a whole."""
    a, b = _endings(stock), _endings(ours)
    found: dict[str, Any] = {"differs": {}, "unsteady": {}}
    for case in sorted(a.keys() | b.keys()):
        x, y = a.get(case, {"not run"}), b.get(case, {"not run"})
        if x != y or len(x) > 1:
            words = [" or ".join(sorted(x)), " or ".join(sorted(y))]
            found["unsteady" if x & y else "differs"][case] = words
    return found


def still_same(run: Callable[[bool, float], Run], before: dict[str, Any]) -> dict[str, Any] | None:
    """The result of before, if stock passed then, and goalloc passes now with as many cases.

    None where that does not tell enough: it takes both ways.
    """
    if before["how"] != "same" or before["result"] != "passed" or "unsteady" in before:
        return None
    ours = run(True, 120 + 5 * before["seconds"][0])
    if ours["how"] != "passed" or len(ours["cases"]) != before["cases"]:
        return None
    return {**before, "seconds": [before["seconds"][0], ours["seconds"]]}


def judge(run: Callable[[bool, float], Run], slow: float) -> dict[str, Any]:
    """run(ours, timeout) both ways, more often if the ends are not the same.

    What takes longer than slow seconds on stock is not run on goalloc.
    """
    stock = [run(False, slow)]
    if stock[0]["how"] == "timeout":
        return {"how": "not run", "seconds": [stock[0]["seconds"]]}
    patience = 120 + 5 * stock[0]["seconds"]
    ours = [run(True, patience)]
    while (found := differences(stock, ours))["differs"] and len(ours) < TRIES:
        stock.append(run(False, patience))
        ours.append(run(True, patience))
    result = {
        "how": "differs" if found["differs"] else "same",
        "result": stock[0]["how"],
        "cases": len(stock[0]["cases"]),
        "seconds": [stock[0]["seconds"], ours[0]["seconds"]],
        **{key: value for key, value in found.items() if value},
    }
    if found["differs"]:
        result["tail"] = ours[0]["tail"]
    return result


