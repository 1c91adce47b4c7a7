"""The displays in a real browser: themes are followed, tooltips are hit, nothing is fetched."""

import pytest

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
