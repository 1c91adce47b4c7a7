"""The displays in a real browser: themes are followed, tooltips are hit, nothing is fetched, and all of
it also in the narrow places that notebooks give to what cells show."""

import pytest
from profiledata import core_profile

import goalloc
from goalloc.timeline import MemoryTimeline, Moment

pytestmark = pytest.mark.slow

LIGHT, DARK = "rgb(28, 33, 40)", "rgb(228, 232, 237)"  # of text
# name, the host's page, what the system prefers, what must be seen
HOSTS = [
    ("saved", "<body>{}", "light", LIGHT),
    ("saved", "<body>{}", "dark", DARK),
    ("JupyterLab", '<body data-jp-theme-light="true">{}', "dark", LIGHT),
    ("JupyterLab", '<body data-jp-theme-light="false">{}', "light", DARK),
    ("VS Code", '<body class="vscode-light">{}', "dark", LIGHT),
    ("VS Code", '<body class="vscode-dark">{}', "light", DARK),
    ("Colab", '<html theme="dark"><body>{}', "light", DARK),
]


@pytest.fixture
def displays():
    """Every display of a heap that has a bit of everything."""
    with goalloc.Heap() as heap:
        blocks = [heap.malloc(n % 9000 + 1) for n in range(0, 400_000, 97)]
        before = heap.snapshot()
        for p in blocks[::3] + blocks[1::3]:
            heap.free(p)
        heap.malloc(200_000)
        heap.free_os_memory()
        timeline = MemoryTimeline()
        timeline._moments = [Moment(i, 9 << 20, 5 << 20, i << 18) for i in range(12)]
        timeline._marks = [(5.0, "<here>")]
        s = heap.snapshot()
        yield [
            s, s.memstats, s.diff(before), s.arena_map(), s.span_map(1000), s.fragmentation(),
            heap.class_stats(), heap.spans(), heap.arenas(), goalloc.size_classes(), timeline,
            goalloc.memory_bill(),
        ]  # fmt: skip


@pytest.fixture
def page(browser):
    """page(html, scheme) -> the tab that shows it; fails at the end if anything went wrong in it."""
    wrong = []

    def show(html, scheme="light"):
        tab = browser.new_context(color_scheme=scheme).new_page()
        tab.on("console", lambda message: wrong.append(message.text))
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("request", lambda request: wrong.append(request.url))
        tab.set_content(f"<!doctype html>{html}")
        return tab

    yield show
    assert wrong == []


def contrast(tab, selector):
    """That of an element's text with the ground it stands on: 1 to 21 (WCAG)."""
    return tab.evaluate(
        """selector => {
            const light = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(n => n / 255)
                .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
                .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
            const ground = getComputedStyle(document.querySelector('.goalloc')).backgroundColor;
            const text = getComputedStyle(document.querySelector(selector)).color;
            const [a, b] = [light(ground), light(text)].sort((x, y) => y - x);
            return (a + 0.05) / (b + 0.05);
        }""",
        selector,
    )


def test_themes_are_followed(displays, page):
    html = "".join(d._repr_html_() for d in displays)
    for name, body, scheme, text in HOSTS:
        tab = page(body.format(html), scheme)
        colours = tab.evaluate(
            "() => [...document.querySelectorAll('.goalloc')].map(e => getComputedStyle(e).color)"
        )
        assert colours == [text] * len(displays), (name, scheme)
        assert contrast(tab, ".goalloc b") > 7 and contrast(tab, ".goalloc p") > 4.5, (name, scheme)


def test_every_shape_is_inside_its_picture(displays, page):
    tab = page("".join(d._repr_html_() for d in displays))
    outside = tab.evaluate(
        """() => [...document.querySelectorAll('svg path')].filter(path => {
            const box = path.getBBox(), view = path.ownerSVGElement.viewBox.baseVal;
            return box.x < -1 || box.y < -1 || box.x + box.width > view.width + 1
                || box.y + box.height > view.height + 1;
        }).map(path => path.outerHTML.slice(0, 200))"""
    )
    assert outside == []
    assert tab.evaluate("() => document.querySelectorAll('svg path').length") > 500


def test_the_page_under_the_mouse_tells_what_it_is(page):
    """In the middle of each of some pages the browser finds the tooltip of the span that is there."""
    with goalloc.Heap() as heap:
        blocks = [heap.malloc(3000) for _ in range(200)]
        m = heap.snapshot().arena_map()
        tab = page(m._repr_html_())
        found = tab.evaluate(
            """pages => {
                const svg = document.querySelector('svg'), at = svg.getBoundingClientRect();
                const scale = at.width / svg.viewBox.baseVal.width;
                return pages.map(page => {
                    const x = 50 + (page % 128 + 0.4) * 7, y = (Math.floor(page / 128) + 0.4) * 14;
                    const hit = document.elementFromPoint(at.x + x * scale, at.y + y * scale);
                    return hit.closest('g').querySelector('title').textContent;
                });
            }""",
            list(range(0, 75, 7)),
        )
        for page_number, title in zip(range(0, 75, 7), found):
            span = heap.span_of(m.arena.start + page_number * 8192)
            assert title.startswith(f"{span.start:#x}, 3 pages: {span.alloc_count} of 8 x 3072 B")
        assert len(blocks) == 200


def test_a_narrow_window_scrolls_inside(displays, page):
    """A display never makes the page of its host wider."""
    tab = page("<body>" + "".join(d._repr_html_() for d in displays))
    tab.set_viewport_size({"width": 500, "height": 800})
    assert tab.evaluate("() => document.documentElement.scrollWidth") <= 500


# What a page may not do in which nothing can be fetched and no text becomes markup or a script unseen.
STRICT = (
    "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; connect-src 'none'; "
    "script-src 'unsafe-inline'; style-src 'unsafe-inline'; require-trusted-types-for 'script'\">"
)
# How programs put an output into their page: each a function of (its place, its HTML, the policy).
# Scripts do not run by becoming markup, so that these are made anew, and gone when they have run.
RUN_AGAIN = """(place, html, policy) => {
    const output = document.createElement('div');
    output.innerHTML = policy.createHTML(html);
    place.append(output);
    for (const found of output.querySelectorAll('script')) {
        const script = document.createElement('script');
        script.text = policy.createScript(found.textContent);
        output.append(script);
        script.remove();
    }
}"""
PLACES = {
    "VS Code": f"({RUN_AGAIN})(place, html, policy)",
    "shadow root": f"({RUN_AGAIN})(place.attachShadow({{mode: 'open'}}), html, policy)",
    "frame of its own": """
        const frame = document.createElement('iframe');
        frame.sandbox = 'allow-scripts';  // as Colab: of no origin
        frame.style.cssText = 'width: 100%; height: 600px; border: 0';
        frame.srcdoc = policy.createHTML(`<!doctype html><html theme=dark>${strict}<body>${html}`);
        place.append(frame);""",
}


@pytest.mark.parametrize("name", PLACES)
def test_they_work_where_notebooks_put_them(displays, page, name):
    profile = goalloc.HeapProfile._from_core(core_profile())
    fewer = goalloc.HeapProfile._from_core(core_profile(samples=core_profile()["samples"][3:]))
    graphs = [profile.flamegraph(), profile.diff(fewer).flamegraph()]
    tab = page(f"{STRICT}<body class=vscode-dark>")
    tab.set_viewport_size({"width": 1000, "height": 900})
    tab.evaluate(
        f"""([outputs, strict]) => {{
            const all = {{createHTML: text => text, createScript: text => text}};
            const policy = trustedTypes.createPolicy('host', all);
            for (const html of outputs) {{
                const place = document.createElement('section');
                document.body.append(place);
                {PLACES[name]};
            }}
        }}""",
        [[d._repr_html_() for d in (*displays, profile.top(), profile.tree(), *graphs)], STRICT],
    )
    roots = tab.frames if name == "frame of its own" else [tab]
    for root in roots:
        root.wait_for_load_state()
    colours = [
        colour
        for root in roots
        for colour in root.locator(".goalloc").evaluate_all("all => all.map(e => getComputedStyle(e).color)")
    ]
    assert len(colours) == len(displays) + 1
    assert name == "shadow root" or set(colours) == {DARK}
    assert sum(root.locator("svg path title").count() for root in roots) > 100

    # By the mouse itself: what it does must reach them, whatever is around them.
    for which in range(len(graphs)):
        drawn = [(root, graph) for root in roots for graph in root.locator(".goalloc-flame").all()]
        root, graph = drawn[which]
        around = graph if root is tab else root.frame_element()
        around.evaluate("around => around.scrollIntoView({block: 'center'})")
        box = graph.locator('g[data-node][aria-label^="main.main,"]').first
        status = graph.locator(".goalloc-status")
        point_at(tab, box.locator("rect"))
        tip = graph.locator(".goalloc-tip")
        assert "main.main" in tip.inner_text() and tip.evaluate("tip => tip.matches(':popover-open')")
        point_at(tab, box.locator("rect"), click=True)
        assert status.inner_text().startswith("main.main: ")
        point_at(tab, graph.get_by_role("button", name="allocated"), click=True)
        assert "allocated" in status.inner_text()
        point_at(tab, graph.locator("input[type=search]"), click=True)
        tab.keyboard.type("Store")
        assert "; found: " in status.inner_text()
        graph.locator("g[data-node][tabindex='0']").evaluate("node => node.focus()")
        tab.keyboard.press("Escape")  # zooms out, and keeps the keyboard
        assert "main.main: " not in status.inner_text()
        tab.keyboard.press("ArrowDown")
        assert graph.locator("g[data-node]:focus").get_attribute("aria-level") == "2"


def point_at(tab, locator, click=False):
    locator.wait_for(timeout=60_000)  # frames out of sight are not drawn until they come into it
    for _ in range(1200):
        if (box := locator.bounding_box()) is not None:  # nor laid out, even when they are there
            break
        tab.wait_for_timeout(50)
    at = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.mouse.move(*at)
    if click:
        tab.mouse.click(*at)


def test_a_tooltip_stays_over_its_picture_where_that_is_roomier(page):
    """Below a small picture there may be what covers it, as the next cell does in VS Code."""
    graph = goalloc.HeapProfile._from_core(core_profile()).flamegraph()
    tab = page(f"<body style='padding: 300px 0'>{graph._repr_html_()}")
    tab.set_viewport_size({"width": 900, "height": 900})
    for node, above in ((tab.locator("g[data-node]").last, True), (tab.locator("g[data-node]").first, False)):
        point_at(tab, node.locator("rect"))
        at, tip = node.bounding_box(), tab.locator(".goalloc-tip").bounding_box()
        assert (tip["y"] + tip["height"] < at["y"] + 9) is above, (at, tip)
