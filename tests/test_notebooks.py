"""The notebooks of examples/: every cell runs, shows what the text promises, and works in a browser.

GOALLOC_SCREENSHOTS=folder keeps the pictures that the browser tests take.
"""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pychild import needs_replaceable

FOLDER = Path(__file__).resolve().parents[1] / "examples"
TOUR, JOB = "tour_of_the_heap", "pandas_job"
ARENA, SPANS, FLAME = "<b>arena 0x", "slots live", "goalloc-flame"
# name of a cell -> what its HTML holds
SHOWN = {
    TOUR: {
        "first-map": ARENA, "map-full": ARENA, "map-sparse": ARENA, "map-given-back": ARENA,
        "span-map-full": SPANS, "span-map-half": SPANS,
        "leak-graph": FLAME, "cell-graph": FLAME, "versions-graph": FLAME,
    },
    JOB: {
        "job-graph": FLAME, "less-graph": FLAME, "timeline": "<b>memory over ", "bill": "in RAM",
    },
}  # fmt: skip

_executed = {}


def executed(name, folder):
    """The notebook with its outputs; it runs once, in a kernel of this Python."""
    pytest.importorskip("ipykernel")
    nbclient = pytest.importorskip("nbclient")
    if name == JOB:
        pytest.importorskip("pandas")
    if name not in _executed:
        import nbformat
        from jupyter_client.manager import AsyncKernelManager

        manager = AsyncKernelManager(kernel_name="python3")
        manager.kernel_spec_manager.kernel_dirs = []  # the kernel of this Python, and no other
        notebook = nbformat.read(FOLDER / f"{name}.ipynb", 4)
        where = {"metadata": {"path": str(folder)}}  # where no sources of goalloc are
        client = nbclient.NotebookClient(notebook, km=manager, timeout=300, resources=where)
        env = {k: v for k, v in os.environ.items() if not k.startswith(("GOALLOC", "LD_PRELOAD"))}
        client.execute(env=env)
        _executed[name] = notebook
    return _executed[name]


def outputs(notebook, name):
    """(text, HTML) of the outputs of a cell."""
    (cell,) = (cell for cell in notebook.cells if cell.id == name)
    text = page = ""
    for output in cell.outputs:
        data = output.get("data", {})
        text += output.get("text", "") + data.get("text/plain", "")
        page += data.get("text/html", "")
    return text, page


@pytest.mark.parametrize("name", SHOWN)
def test_they_are_stored_without_outputs(name):
    notebook = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(code) > 10 and {cell["id"] for cell in code} > SHOWN[name].keys()
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@needs_replaceable
@pytest.mark.slow
@pytest.mark.parametrize("name", SHOWN)
def test_every_cell_runs_and_shows_what_it_should(name, tmp_path):
    notebook = executed(name, tmp_path)
    for cell, what in SHOWN[name].items():
        assert what in outputs(notebook, cell)[1], cell
    told = [o for cell in notebook.cells for o in cell.get("outputs", ())]
    assert [o for o in told if o.output_type == "error" or o.get("name") == "stderr"] == []


@needs_replaceable
@pytest.mark.slow
def test_the_tour_measures_what_its_text_says(tmp_path):
    notebook = executed(TOUR, tmp_path)

    def numbers(cell):
        text = re.sub(r"(?<=\d),(?=\d)", "", outputs(notebook, cell)[0])
        return [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", text)]

    live, held = zip(*(numbers("held")[i : i + 2] for i in (0, 3, 5)))
    assert live[0] > 10 * live[1] == 10 * live[2]
    assert held[0] == held[1] > 2 * held[2]
    assert "build_index" in outputs(notebook, "whose-survivors")[1]
    assert "Request.__init__" in outputs(notebook, "leak")[0].split("\n")[2]
    assert "held by a list" in outputs(notebook, "who-keeps-it")[0]
    allocated, left = numbers("mended")
    assert allocated > 1_000_000 > 10_000 > abs(left)
    _, _, loaded, streamed, *_ = numbers("versions")
    assert loaded > 20 * streamed


@needs_replaceable
@pytest.mark.slow
def test_the_job_needs_less_the_second_way(tmp_path):
    text, _ = outputs(executed(JOB, tmp_path), "less")
    before, after = re.search(r"peak_space +([\d.]+) MiB before +([\d.]+) MiB after", text).groups()
    assert float(before) > 2 * float(after)


@pytest.fixture
def screenshots(tmp_path):
    folder = Path(os.environ.get("GOALLOC_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def show(browser, tmp_path):
    """show(name, theme) -> the tab with the notebook saved as HTML; at the end all must have gone well."""
    nbconvert = pytest.importorskip("nbconvert")
    wrong = []

    def tab_with(name, theme):
        exporter = nbconvert.HTMLExporter(theme=theme)
        page, _ = exporter.from_notebook_node(executed(name, tmp_path))
        path = tmp_path / f"{name}.html"
        path.write_text(page, encoding="utf-8")
        tab = browser.new_context(viewport={"width": 1100, "height": 900}).new_page()
        tab.on("console", lambda message: wrong.append(message.text))
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        # What nbconvert itself would fetch, for formulas that there are none of.
        tab.route("https://cdnjs.cloudflare.com/**", lambda route: route.fulfill(body=""))
        tab.on("requestfailed", lambda request: wrong.append(request.url))
        tab.goto(path.as_uri())
        graphs = sum(what == FLAME for what in SHOWN[name].values())
        assert tab.locator(".goalloc-flame svg").count() == graphs
        return tab

    yield tab_with
    assert wrong == []


@needs_replaceable
@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name, function", [(TOUR, "Request.__init__"), (JOB, "first_words")])
def test_a_saved_notebook_works_in_a_browser(name, function, theme, show, screenshots):
    tab = show(name, theme)
    tab.screenshot(path=screenshots / f"{name}-{theme}.png", full_page=True)
    graph = tab.locator(".goalloc-flame").first
    box = graph.locator(f'g[data-node][aria-label*="{function},"]').first
    nodes = graph.locator("g[data-node]")

    box.locator("rect").hover()
    tip = graph.locator(".goalloc-tip")
    assert tip.is_visible() and function in tip.inner_text()
    assert tip.evaluate("tip => tip.matches(':popover-open')")  # nothing around it cuts it off
    at = tip.bounding_box()
    assert at["x"] >= 0 <= at["y"] and at["x"] + at["width"] <= 1100 and at["y"] + at["height"] <= 900
    graph.screenshot(path=screenshots / f"{name}-{theme}-tooltip.png")

    graph.locator("input[type=search]").fill(function)
    assert "; found: " in graph.locator(".goalloc-status").inner_text()
    assert graph.locator("g.goalloc-dim").count() > 0
    graph.screenshot(path=screenshots / f"{name}-{theme}-search.png")
    graph.locator("input[type=search]").fill("")

    before = nodes.count()
    width = box.locator("rect").bounding_box()["width"]
    box.locator("rect").click()
    assert box.locator("rect").bounding_box()["width"] > width
    assert function in graph.locator(".goalloc-status").inner_text()
    graph.screenshot(path=screenshots / f"{name}-{theme}-zoomed.png")
    graph.get_by_role("button", name="whole").click()
    assert nodes.count() == before

    graph.get_by_role("button", name="temporary").click()
    assert "temporary" in graph.locator(".goalloc-status").inner_text()


@pytest.fixture
def lab(tmp_path):
    """lab(notebook) -> the address at which a JupyterLab of the test's own shows it."""
    pytest.importorskip("jupyterlab", reason="`pip install jupyterlab`, which is large")
    import nbformat
    from nbformat.sign import NotebookNotary

    root, home = tmp_path / "lab", tmp_path / "home"
    tracker = home / "settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    tracker.parent.mkdir(parents=True)
    tracker.write_text('{"windowingMode": "none"}')  # else cells out of sight are not there
    root.mkdir()
    env = {
        **os.environ,
        **{f"JUPYTER_{name}_DIR": str(home / name) for name in ("CONFIG", "DATA", "RUNTIME")},
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
    }
    words = ["--allow-root", "--no-browser", "--port=0", f"--ServerApp.root_dir={root}", "--LabApp.news_url=None",
             "--IdentityProvider.token=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *words], env=env, stderr=subprocess.DEVNULL
    ) as server:

        def show(notebook):
            nbformat.write(notebook, root / "it.ipynb")
            notary = NotebookNotary(data_dir=str(home / "DATA"))  # what it has not run itself it shows
            notary.sign(nbformat.read(root / "it.ipynb", 4))  # only where somebody trusts it
            notary.store.close()
            end = time.monotonic() + 120
            while not (found := list(home.glob("RUNTIME/jpserver-*.json"))):
                assert server.poll() is None and time.monotonic() < end
                time.sleep(0.1)
            return json.loads(found[0].read_text())["url"] + "lab/tree/it.ipynb"

        yield show
        server.terminate()


@needs_replaceable
@pytest.mark.slow
def test_the_tour_in_jupyterlab(lab, browser, screenshots, tmp_path):
    tab = browser.new_context(viewport={"width": 1400, "height": 1000}).new_page()
    tab.set_default_timeout(120_000)
    wrong = []
    tab.on("console", lambda message: message.type == "error" and wrong.append(message.text))
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.goto(lab(executed(TOUR, tmp_path)))
    graph = tab.locator(".goalloc-flame").first
    box = graph.locator('g[data-node][aria-label*="Request.__init__,"]').first
    box.wait_for(state="attached")
    box.scroll_into_view_if_needed()
    box.locator("rect").hover()
    tip = graph.locator(".goalloc-tip")
    assert tip.is_visible() and "Request.__init__" in tip.inner_text()
    tab.screenshot(path=screenshots / "jupyterlab.png")
    box.locator("rect").click()
    assert "Request.__init__" in graph.locator(".goalloc-status").inner_text()
    graphs = sum(what == FLAME for what in SHOWN[TOUR].values())
    assert tab.locator(".goalloc-flame svg").count() == graphs
    assert tab.locator(".jp-OutputArea .goalloc").count() >= len(SHOWN[TOUR]) - graphs
    assert wrong == []
