"""A program that serves its heap, seen from outside: deltas, `go tool pprof`, a browser."""

import os
import re
import shutil
import subprocess
import sys
import threading
import time

import pytest
from pychild import needs_launch

import goalloc

PROGRAM = """
import goalloc, sys
goalloc.set_profile_rate(1)
def before():
    return [bytes(1000) for _ in range(500)]
def grow():
    return [bytes(3000) for _ in range(200)]
kept = [before()]
with goalloc.serve() as server:
    print(server.url, flush=True)
    for line in sys.stdin:
        kept.append(grow())
"""
BEFORE_BYTES, GROW_BYTES = 500 * 1152, 200 * 3072


@pytest.fixture
def program(tmp_path):
    """A launched program that serves its heap; a line to its stdin lets it grow()."""
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    # What looks like markup must stay text, wherever it is shown.
    command = [sys.executable, "-m", "goalloc", "run", path, "<img src=x onerror=alert(1)>"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path
    ) as child:
        child.url = child.stdout.readline().strip()
        yield child
        child.stdin.close()
        assert child.wait(60) == 0


@needs_launch
def test_a_delta_is_what_happened_meanwhile(program):
    import urllib.request

    deltas = []

    def take():
        with urllib.request.urlopen(f"{program.url}debug/pprof/heap?seconds=3", timeout=60) as body:
            deltas.append(goalloc.HeapProfile.from_pprof(body.read()))

    asking = threading.Thread(target=take)
    asking.start()
    time.sleep(1)
    program.stdin.write("\n")
    program.stdin.flush()
    asking.join(60)
    (delta,) = deltas
    assert delta.filter(function="grow", min_size=3072, max_size=3072).total() == GROW_BYTES
    assert delta.filter(function="before").total() == 0


@pytest.fixture
def go_pprof(tmp_path):
    go = shutil.which("go")
    if go is None:
        pytest.skip("there is no go")

    def run(*args):
        env = {**os.environ, "PPROF_TMPDIR": str(tmp_path), "GOFLAGS": "", "HOME": str(tmp_path)}
        command = [go, "tool", "pprof", *args]
        return subprocess.run(command, capture_output=True, text=True, env=env, timeout=120)

    return run


@needs_launch
def test_go_tool_pprof_reads_it(program, go_pprof):
    done = go_pprof("-top", "-unit=B", f"{program.url}debug/pprof/heap")
    assert done.returncode == 0, done.stderr
    assert "Type: inuse_space" in done.stdout
    rows = {line.split()[-1]: line.split() for line in done.stdout.splitlines() if "%" in line}
    (before,) = (row for name, row in rows.items() if name.endswith(".before"))
    with_what_it_calls = int(before[3].removesuffix("B"))  # before 3.12 that is a list comprehension
    assert BEFORE_BYTES <= with_what_it_calls < BEFORE_BYTES + 50_000  # the list grows a few times
    done = go_pprof("-top", f"{program.url}debug/pprof/allocs")
    assert "Type: alloc_space" in done.stdout


@needs_launch
def test_go_tool_pprof_compares_all_that_we_write(program, go_pprof, python, tmp_path):
    """It wants the same values on both sides: Go's four, or with those at the peak."""
    work = "kept = [bytes(1000) for _ in range(100)]"
    assert python.run("--profile", "run.pb.gz", "--rate", "1", "-c", work).returncode == 0
    run, url = str(tmp_path / "run.pb.gz"), f"{program.url}debug/pprof/heap"
    refused = go_pprof("-top", f"-diff_base={run}", url)
    assert refused.returncode != 0 and "4 != 6" in refused.stderr, refused
    done = go_pprof("-top", "-unit=B", f"-diff_base={run}", f"{url}?peak=1")
    assert done.returncode == 0 and ".before" in done.stdout, done
    assert python("-m", "goalloc", "pprof", run, "-o", "four.pb.gz").returncode == 0
    done = go_pprof("-top", "-unit=B", f"-diff_base={tmp_path / 'four.pb.gz'}", url)
    assert done.returncode == 0 and ".before" in done.stdout, done


@needs_launch
def test_go_tool_pprof_takes_a_delta_and_shows_our_errors(program, go_pprof):
    done = go_pprof("-raw", "-seconds=1", "-timeout=60", f"{program.url}debug/pprof/heap")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^Duration: [1-9]", done.stdout, re.MULTILINE)
    done = go_pprof("-top", f"{program.url}debug/pprof/none")
    assert done.returncode != 0 and "Unknown profile" in done.stderr


@needs_launch
@pytest.mark.slow
def test_the_page_in_a_browser(program, browser, tmp_path):
    tab = browser.new_page(viewport={"width": 1200, "height": 900})
    wrong, asked = [], []
    tab.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(program.url)
    tab.wait_for_selector("#arena-map svg")
    tab.wait_for_selector("#time path", state="attached")
    assert "<img src=x onerror=alert(1)>" in tab.inner_text("#about")

    # The flame graph can be zoomed, and stays so when newer data come in.
    tab.select_option("#interval", "0")  # not while we click
    tab.locator("#flame g[aria-label*='.before,']").click()
    tab.wait_for_function("document.querySelector('#flame').innerText.includes('before: ')")
    tab.evaluate("document.activeElement.blur()")
    program.stdin.write("\n")
    program.stdin.flush()
    tab.select_option("#interval", "2")
    old = tab.query_selector("#flame > div")
    old.evaluate("div => { div.dataset.old = 1; }")
    tab.wait_for_selector("#flame > div:not([data-old])")
    assert "before: " in tab.inner_text("#flame")
    tab.click("#flame button:has-text('whole')")
    tab.evaluate("document.activeElement.blur()")
    tab.wait_for_function(
        "[...document.querySelectorAll('#flame g')].some(g => g.ariaLabel.includes('.grow'))"
    )
    tab.screenshot(path=str(tmp_path / "page.png"), full_page=True)
    assert wrong == []
    assert all(url.startswith(program.url) for url in asked)


@needs_launch
@pytest.mark.slow
def test_the_page_says_when_the_program_is_gone(program, browser):
    tab = browser.new_page()
    tab.goto(program.url)
    tab.wait_for_selector("#time path", state="attached")
    program.stdin.close()
    program.wait(60)
    tab.wait_for_selector("#problem:not([hidden])")
    assert "does not answer" in tab.inner_text("#problem")
