"""Memory over time as a line chart, and as text."""

from __future__ import annotations

from html import escape
from math import ceil, log10

from . import svg
from .text import human, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..timeline import Moment

    _Series = tuple[str, str, Callable[[Moment], int | None]]

_WIDTH, _HEIGHT = 900.0, 250.0
_LEFT, _TOP, _BOTTOM = 66.0, 34.0, 24.0
_MAX_TOOLTIPS = 200
_TEXT_WIDTH = 50
_BARS = "▁▂▃▄▅▆▇█"

# css class of its colour, name, value
_SERIES: tuple[_Series, ...] = (
    ("c4", "in RAM (RSS)", lambda m: m.rss),
    ("c1", "held by goalloc", lambda m: m.held),
    ("c2", "live blocks", lambda m: m.live),
)


def _shown(moments: Sequence[Moment]) -> list[_Series]:
    """In wrap mode only the first is known."""
    return [s for s in _SERIES if all(s[2](m) is not None for m in moments)]


def buckets(moments: Sequence[Moment], most: int) -> list[Moment]:
    """At most so many of them: of each stretch of time the one with the most RSS."""
    if len(moments) <= most:
        return list(moments)
    edges = [i * len(moments) // most for i in range(most + 1)]
    return [max(moments[a:b], key=lambda m: m.rss) for a, b in zip(edges, edges[1:])]


def _values(moments: Sequence[Moment], series: _Series) -> list[int]:
    return [value for m in moments if (value := series[2](m)) is not None]


# ---- chart --------------------------------------------------------------------------------------


class _Axes:
    """From seconds and bytes to pixels."""

    def __init__(self, moments: Sequence[Moment], marks: Sequence[tuple[float, str]]) -> None:
        top = max(v for s in _shown(moments) for v in _values(moments, s))
        self.step = _byte_step(top)
        self.top = max(ceil(top / self.step), 1) * self.step
        last = max([moments[-1].seconds, *(seconds for seconds, _ in marks)])
        self.seconds = max(last, 1e-3)

    def x(self, seconds: float) -> float:
        return _LEFT + seconds / self.seconds * (_WIDTH - _LEFT)

    def y(self, nbytes: float) -> float:
        return _HEIGHT - _BOTTOM - nbytes / self.top * (_HEIGHT - _BOTTOM - _TOP)


def _byte_step(top: int) -> int:
    """A power of two that makes four to eight lines."""
    step = 1
    while top > step * 8:
        step *= 2
    return step


def _time_step(seconds: float) -> float:
    """1, 2 or 5 times a power of ten that makes at most ten ticks."""
    power: float = 10.0 ** ceil(log10(seconds / 10))
    return next((power / part for part in (5, 2) if seconds / (power / part) <= 10), power)


def timeline_html(moments: Sequence[Moment], marks: Sequence[tuple[float, str]]) -> str:
    if not moments:
        return svg.frame(svg.note("nothing recorded yet"))
    axes = _Axes(moments, marks)
    body = _gridlines(axes)
    for css, _, value in _shown(moments):
        points = " ".join(
            f"{svg.num(axes.x(m.seconds))} {svg.num(axes.y(value(m) or 0))}" for m in moments
        )
        body += f'<path class="k{css} q" d="M{points}"/>'
    body += _marks(axes, marks) + _tooltips(axes, moments)
    name = f"memory over {moments[-1].seconds:.1f} s"
    chart = svg.picture(_WIDTH, _HEIGHT, name, body)
    return svg.frame(svg.heading(name, f"· {len(moments)} moments"), _key(moments), chart)


def _key(moments: Sequence[Moment]) -> str:
    entries = []
    for series in _shown(moments):
        values = _values(moments, series)
        entries.append(
            (series[0], f"{series[1]}: {human(values[-1])} at the end, {human(max(values))} at most")
        )
    return svg.key(entries)


def _gridlines(axes: _Axes) -> str:
    body, lines = "", ""
    for i in range(axes.top // axes.step + 1):
        y = axes.y(i * axes.step)
        lines += f"M{_LEFT:.0f} {svg.num(y)}H{_WIDTH:.0f}"
        body += svg.label(_LEFT - 7, y + 3.5, human(i * axes.step), "end")
    step = _time_step(axes.seconds)
    for i in range(int(axes.seconds / step + 1e-9) + 1):
        x = axes.x(i * step)
        lines += f"M{svg.num(x)} {_HEIGHT - _BOTTOM:.0f}v4"
        body += svg.label(x, _HEIGHT - 8, f"{i * step:g} s", "start" if i == 0 else "middle")
    return f'<path class="g q" d="{lines}"/>{body}'


def _marks(axes: _Axes, marks: Sequence[tuple[float, str]]) -> str:
    """Texts that would run into each other are on three levels."""
    body = ""
    for i, (seconds, text) in enumerate(marks):
        x, y = axes.x(seconds), 9.0 + i % 3 * 11
        short = text if len(text) <= 40 else text[:39] + "…"
        body += (
            f'<g><title>{escape(f"{seconds:.1f} s: {text[:500]}")}</title>'
            f'<path class="m" d="M{svg.num(x)} {svg.num(y + 3)}V{_HEIGHT - _BOTTOM:.0f}"/>'
            f"{svg.label(x, y, short, 'end' if x > _WIDTH * 0.8 else 'start')}</g>"
        )
    return body


def _tooltips(axes: _Axes, moments: Sequence[Moment]) -> str:
    """Upright stripes, each from half-way to the next."""
    shown = buckets(moments, _MAX_TOOLTIPS)
    middles = [axes.x((a.seconds + b.seconds) / 2) for a, b in zip(shown, shown[1:])]
    edges = [_LEFT, *middles, _WIDTH]
    body = ""
    for m, left, right in zip(shown, edges, edges[1:]):
        told = "\n".join(
            f"{name}: {human(value(m) or 0)}" for _, name, value in _shown(moments)
        )
        box = svg.box(left, _TOP, max(right - left, 0.1), _HEIGHT - _BOTTOM - _TOP)
        body += svg.shape("n", box, f"{m.seconds:.1f} s\n{told}")
    return body


# ---- text ---------------------------------------------------------------------------------------


def timeline_text(moments: Sequence[Moment], marks: Sequence[tuple[float, str]]) -> str:
    """A line of bars for each number, all to the same scale."""
    if not moments:
        return "nothing recorded yet"
    shown = buckets(moments, _TEXT_WIDTH)
    top = max(v for s in _shown(moments) for v in _values(moments, s)) or 1
    rows = []
    for series in _shown(moments):
        values = _values(moments, series)
        line = "".join(_BARS[v * 8 // (top + 1)] for v in _values(shown, series))
        rows.append((series[1], line, human(max(values)), human(values[-1])))
    name = f"memory over {moments[-1].seconds:.1f} s, {len(moments)} moments"
    text = table(("", "", "at most", "at the end"), rows, left=2)
    notes = [f"{seconds:8.1f} s  {note}" for seconds, note in marks]
    return "\n".join([name, text, *notes])
