"""What the pictures share: colours, scales, and the frame that each is shown in.

The pictures are SVG made by hand, not by a plotting library: they consist of thousands of small
rectangles, each with a tooltip, must be legible in a notebook saved years ago, and need no network and
no script.  Plotly would put megabytes of script into every notebook, matplotlib's images have no
tooltips.  The text of a tooltip is a <title>, which browsers show by themselves.

No element has an id: many pictures may share a page.  Colours are CSS variables of the frame, which
follow the theme of JupyterLab, VS Code and Colab where one is set, and the system's else.  The hues are
those of Okabe and Ito, which the colour-blind can tell apart.
"""

from __future__ import annotations

from html import escape

from .text import human

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LIGHT = (
    "--ga-bg:var(--jp-layout-color0,var(--vscode-editor-background,#fff));"
    "--ga-fg:#1c2128;--ga-dim:#5b6672;--ga-line:#d3d9e0;--ga-free:#c3cad3;--ga-soft:#f2f4f7;"
    "--ga-1:#0072b2;--ga-2:#009e73;--ga-3:#e69f00;--ga-4:#d55e00;--ga-5:#b5599b;--ga-6:#6b7683;"
    "--ga-more:#c8372d;--ga-less:#2a6db4;--ga-o0:.3;--ga-o1:.45;--ga-o2:.6;--ga-o3:.78"
)
_DARK = (
    "--ga-bg:var(--jp-layout-color0,var(--vscode-editor-background,#14171b));"
    "--ga-fg:#e4e8ed;--ga-dim:#9da8b5;--ga-line:#3a414a;--ga-free:#4c5561;--ga-soft:#20252b;"
    "--ga-1:#4ba6e6;--ga-2:#2bbd92;--ga-3:#f2b632;--ga-4:#f27a3d;--ga-5:#d98fc0;--ga-6:#8d99a7;"
    "--ga-more:#f2766b;--ga-less:#62aef0;--ga-o0:.42;--ga-o1:.55;--ga-o2:.68;--ga-o3:.83"
)
_LIGHT_HOSTS = ("body[data-jp-theme-light=true]", ".vscode-light", "html[theme=light]")
_DARK_HOSTS = ("body[data-jp-theme-light=false]", ".vscode-dark", "html[theme=dark]")
_RULES = """
.goalloc{background:var(--ga-bg);color:var(--ga-fg);padding:8px 10px;max-width:980px;
font:13px/1.45 system-ui,sans-serif;font-variant-numeric:tabular-nums;overflow-x:auto}
.goalloc p{margin:0 0 6px;color:var(--ga-dim)}.goalloc p b{color:var(--ga-fg);font-weight:600}
.goalloc svg{display:block;width:100%;height:auto;overflow:visible}
.goalloc svg text{fill:var(--ga-dim);font:10px system-ui,sans-serif}
.goalloc table{border-collapse:collapse;border:0;margin:4px 0 8px;font-size:12.5px;
color:inherit;background:none}
.goalloc table tbody tr:nth-child(n){background:none}
.goalloc table tbody tr:nth-child(n):hover{background:var(--ga-soft)}
.goalloc summary{cursor:pointer;color:var(--ga-dim);font-size:12px}
.goalloc th,.goalloc td{border:0;padding:2px 9px;text-align:right;white-space:pre;
vertical-align:middle;max-width:none;color:inherit;background:none}
.goalloc th{border-bottom:1px solid var(--ga-line);font-weight:600;color:var(--ga-dim)}
.goalloc td.l,.goalloc th.l{text-align:left}.goalloc td.d,.goalloc td .r{color:var(--ga-dim)}
.goalloc tr.t td{font-weight:600}
.goalloc td svg{width:auto;max-width:none;display:inline-block;vertical-align:middle}
.goalloc .key{display:flex;flex-wrap:wrap;gap:3px 16px;margin:4px 0 8px;font-size:12px}
.goalloc .key span{display:inline-flex;align-items:center;gap:5px;white-space:nowrap}
.goalloc .key i{width:11px;height:11px;box-sizing:border-box;display:inline-block}
.goalloc .c1{fill:var(--ga-1)}.goalloc .c2{fill:var(--ga-2)}.goalloc .c3{fill:var(--ga-3)}
.goalloc .c4{fill:var(--ga-4)}.goalloc .c5{fill:var(--ga-5)}.goalloc .c6{fill:var(--ga-6)}
.goalloc .cf{fill:var(--ga-free)}.goalloc .cb{fill:var(--ga-bg)}
.goalloc .cr{fill:var(--ga-bg);stroke:var(--ga-line)}
.goalloc .cm{fill:var(--ga-more)}.goalloc .cl{fill:var(--ga-less)}
.goalloc .o0{fill-opacity:var(--ga-o0)}.goalloc .o1{fill-opacity:var(--ga-o1)}
.goalloc .o2{fill-opacity:var(--ga-o2)}.goalloc .o3{fill-opacity:var(--ga-o3)}.goalloc .g{stroke:var(--ga-line);fill:none}
.goalloc .a path{fill:none}.goalloc .a .cr{fill:var(--ga-bg);stroke-width:1}
.goalloc .a .c1{stroke:var(--ga-1)}.goalloc .a .c2{stroke:var(--ga-2)}.goalloc .a .c3{stroke:var(--ga-3)}
.goalloc .a .c4{stroke:var(--ga-4)}.goalloc .a .c5{stroke:var(--ga-5)}.goalloc .a .c6{stroke:var(--ga-6)}
.goalloc .a .cf{stroke:var(--ga-free)}.goalloc .a .cb{stroke:var(--ga-bg)}
.goalloc .a .o0{stroke-opacity:var(--ga-o0)}.goalloc .a .o1{stroke-opacity:var(--ga-o1)}
.goalloc .a .o2{stroke-opacity:var(--ga-o2)}.goalloc .a .o3{stroke-opacity:var(--ga-o3)}
.goalloc .a path:not(.cr):hover{stroke:var(--ga-fg);stroke-width:inherit}
.goalloc path:hover,.goalloc rect.h:hover{stroke:var(--ga-fg);stroke-width:1}
.goalloc .q{pointer-events:none}.goalloc .n{fill-opacity:0}
.goalloc .kc1,.goalloc .kc2,.goalloc .kc4{fill:none;stroke-width:1.8;stroke-linejoin:round}
.goalloc .kc1{stroke:var(--ga-1)}.goalloc .kc2{stroke:var(--ga-2)}.goalloc .kc4{stroke:var(--ga-4)}
.goalloc .m{stroke:var(--ga-dim);stroke-dasharray:2 2}
"""


def _themes() -> str:
    light = ",".join(f"{host} .goalloc" for host in _LIGHT_HOSTS)
    dark = ",".join(f"{host} .goalloc" for host in _DARK_HOSTS)
    return (
        f".goalloc{{{_LIGHT}}}@media(prefers-color-scheme:dark){{.goalloc{{{_DARK}}}}}"
        f"{light}{{{_LIGHT}}}{dark}{{{_DARK}}}"
    )


def frame(*parts: str) -> str:
    """The parts as one self-contained piece of HTML."""
    style = (_themes() + _RULES).replace("\n", "")
    return f'<div class="goalloc"><style>{style}</style>{"".join(parts)}</div>'


def note(text: str) -> str:
    """A line of plain text; nothing if it is empty."""
    return f"<p>{escape(text)}</p>" if text else ""


def heading(text: str, more: str = "") -> str:
    return f"<p><b>{escape(text)}</b> {escape(more)}</p>"


def picture(width: float, height: float, label: str, body: str, *, natural: bool = False) -> str:
    """An SVG as wide as its frame; natural: of its own size, for a cell of a table.

    label is for readers who don't see it.
    """
    size = f'width="{num(width)}" height="{num(height)}" ' if natural else ""
    return (
        f'<svg {size}viewBox="0 0 {num(width)} {num(height)}" role="img" '
        f'aria-label="{escape(label)}">{body}</svg>'
    )


def num(x: float) -> str:
    """As short as a tenth of a pixel allows."""
    return f"{x:.1f}".removesuffix(".0")


def box(x: float, y: float, width: float, height: float) -> str:
    """A rectangle as a part of a path: half as long as an element of its own."""
    w = num(width)
    return f"M{num(x)} {num(y)}h{w}v{num(height)}h-{w}z"


def line(y: float, dashes: Iterable[tuple[float, float]]) -> str:
    """Dashes (x, width) from left to right as a part of a path: half as long as boxes."""
    end: float | None
    out, end = "", None  # where the pen is
    for x, width in dashes:
        start = f"M{num(x)} {num(y)}" if end is None else f"m{num(x - end)} 0"
        out += f"{start}h{num(width)}"
        # From where the pen is: what was rounded must not add up.
        end = (float(num(x)) if end is None else end + float(num(x - end))) + float(num(width))
    return out


def shape(css: str, path: str, title: str = "") -> str:
    """A path with its tooltip."""
    if not title:
        return f'<path class="{css}" d="{path}"/>'
    return f'<path class="{css}" d="{path}"><title>{escape(title)}</title></path>'


def label(x: float, y: float, text: str, anchor: str = "start") -> str:
    at = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{num(x)}" y="{num(y)}"{at}>{escape(text)}</text>'


# css class of a fill -> the colour of its swatch in a key
_SWATCHES = {
    **{f"c{i}": f"background:var(--ga-{i})" for i in range(1, 7)},
    "cf": "background:var(--ga-free)",
    "cr": "border:1px solid var(--ga-line)",
    "cm": "background:var(--ga-more)",
    "cl": "background:var(--ga-less)",
}


def key(entries: Iterable[tuple[str, str]]) -> str:
    """What the colours mean: (css class of a fill, text)."""
    items = (
        f'<span><i style="{_SWATCHES[css]}"></i>{escape(text)}</span>' for css, text in entries
    )
    return f'<div class="key">{"".join(items)}</div>'


def bar(parts: Sequence[tuple[str, float, str]], whole: float, width: float = 180) -> str:
    """A stacked bar: (css class, amount, tooltip) of each part; `whole` fills the width."""
    x, body = 0.0, ""
    for css, amount, title in parts:
        if amount <= 0 or whole <= 0:
            continue
        w = max(amount / whole * width, 0.5)
        body += shape(css, box(x, 0.5, w, 11), title)
        x += w
    told = "; ".join(title for _, amount, title in parts if amount > 0)
    return picture(width, 12, told or "empty", body, natural=True)


def grid(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    left: Sequence[int] = (0,),
    last_is_sum: bool = False,
) -> str:
    """A table of cells that are HTML already; the columns in `left` are flush left."""
    lines = list(rows)

    def line(cells: Sequence[str], tag: str) -> str:
        out = ""
        for i, cell in enumerate(cells):
            flush = ' class="l"' if i in left else ""
            out += f"<{tag}{flush}>{cell}</{tag}>"
        return out

    body = ""
    for i, cells in enumerate(lines):
        total = ' class="t"' if last_is_sum and i == len(lines) - 1 else ""
        body += f"<tr{total}>{line(cells, 'td')}</tr>"
    return f"<table><thead><tr>{line(headings, 'th')}</tr></thead><tbody>{body}</tbody></table>"


def amount(nbytes: int, sign: bool = False) -> str:
    """Bytes for a cell: rounded, exact on hover."""
    plus = "+" if sign else ""
    return f'<span title="{nbytes:{plus},} bytes">{human(nbytes, sign)}</span>'
