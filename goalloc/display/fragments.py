"""Fragmentation by class and by call site, as tables with bars and as text."""

from __future__ import annotations

from html import escape

from . import svg
from .cells import cell_numbers, shown_file
from .shading import group_of
from .text import counted, human, noted, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..fragments import CallSite, ClassFragmentation, Fragmentation

_MOST = 12  # rows of each table
_ROUGH = 100  # samples; at 100, a tenth up or down is chance
_FRAMES = 12  # of a stack in a tooltip
_CLASSES = ("class", "spans", "nearly empty", "holds", "given back", "packing frees")
_SITES = ("holds", "live", "held per live", "spans", "samples")
_FINER = ": a lower rate (goalloc.set_profile_rate), set before blocks are allocated, tells more"
_BARS = " ▁▂▃▄▅▆▇█"


def _summary(f: Fragmentation) -> str:
    packable = sum(c.packable_bytes for c in f.classes)
    return (
        f"{human(f.held_bytes)} of free slots are held by live blocks beside them; "
        f"packing these perfectly would free {human(packable)}"
    )


def _class_cells(c: ClassFragmentation) -> tuple[str, ...]:
    return (
        f"{c.elem_size:,} {'noscan' if c.noscan else 'scan'}",
        f"{c.spans:,}",
        f"{c.sparse:,}",
        human(c.held_bytes),
        human(c.released_bytes),
        human(c.packable_bytes),
    )


def _site_cells(s: CallSite) -> tuple[str, ...]:
    ratio = f"{s.held_bytes / s.live_bytes:.1f}" if s.live_bytes else ""
    return human(s.held_bytes), human(s.live_bytes), ratio, f"{s.spans:,}", f"{s.samples:,}"


def _where(frame: tuple[str, str, int]) -> str:
    """As short as `load (app/data.py:12)`."""
    function, filename, line = frame
    shown = shown_file(filename, cell_numbers([filename]))
    place = "/".join(shown.rsplit("/", 2)[-2:])
    place += f":{line}" if line else ""
    text = f"{function} ({place})" if function and place else function or place
    return _printable(text)


def _caller(s: CallSite) -> str:
    """Who called into the folder of the code that allocates: a library's caller, mostly."""
    folder = s.filename.rpartition("/")[0]
    for frame in s.stack[1:]:
        if frame[1].rpartition("/")[0] != folder:
            return f" from {_where(frame)}"
    return ""


def _printable(text: str) -> str:
    """Names of files may hold what no text can."""
    return text.encode("utf-8", "backslashreplace").decode()


def _shown_sites(f: Fragmentation) -> list[CallSite]:
    return [s for s in f.sites or () if s.held_bytes][:_MOST]


def _rest(f: Fragmentation) -> str:
    """What the shown sites leave, or why there are none."""
    if f.sites is None:
        return "Which code holds it is not known: the heap profile is off (set_profile_rate)."
    if not f.sites:
        return f"Which code holds it is not known: the heap profile has no live samples{_FINER}."
    known = sum(s.held_bytes for s in f.sites)
    samples = sum(s.samples for s in f.sites)
    text = "All " if len(f.sites) > 1 else ""
    text += f"{counted(len(f.sites), 'call site')}: {human(known)}"
    text += f", estimated from {counted(samples, 'live sample')}"
    if samples < _ROUGH:
        text += " (so few make a rough estimate)"
    if known < f.held_bytes:
        text += f"; {human(f.held_bytes - known)} by blocks that the profile does not know{_FINER}"
    return text + "."


def _nothing(f: Fragmentation) -> str:
    return f.note or "no spans: nothing is fragmented"


def fragmentation_text(f: Fragmentation) -> str:
    if not f.classes:
        return _nothing(f)
    rows = [(*_class_cells(c), _sparkline(c.fullness)) for c in f.classes[:_MOST]]
    parts = [noted(f.note, _summary(f)), "", table((*_CLASSES, "0 - full"), rows, left=1)]
    if len(f.classes) > _MOST:
        parts.append(f"... {counted(len(f.classes) - _MOST, 'more class', 'more classes')}")
    sites = _shown_sites(f)
    if sites:
        parts += ["", _sites_text(sites)]
    return "\n".join([*parts, "", _rest(f)])


def _sites_text(sites: Sequence[CallSite]) -> str:
    """Names come last: they may be long."""
    names = ["whose survivors hold it", *(_where(s[:3]) + _caller(s) for s in sites)]
    lines = table(_SITES, map(_site_cells, sites)).splitlines()
    return "\n".join(f"{line}  {name}" for line, name in zip(lines, names))


def _sparkline(counts: Sequence[int]) -> str:
    most = max(counts) or 1
    return "".join(_BARS[-(-n * 8 // most)] for n in counts)


# ---- picture ------------------------------------------------------------------------------------


def fragmentation_html(f: Fragmentation) -> str:
    if not f.classes:
        return svg.frame(svg.note(_nothing(f)))
    most = max(c.held_bytes + c.released_bytes for c in f.classes)
    rows = [
        (*map(escape, _class_cells(c)), _fullness(c), _class_bar(c, most))
        for c in f.classes[:_MOST]
    ]
    parts = [svg.heading("Fragmentation", f"· {_summary(f)}"), svg.note(f.note)]
    parts.append(svg.grid((*_CLASSES, "spans, empty to full", ""), rows, left=(0, 6, 7)))
    parts.append(svg.key([("c3", "holds"), ("cr", "given back inside its spans")]))
    if len(f.classes) > _MOST:
        more = counted(len(f.classes) - _MOST, "more class holds", "more classes hold")
        parts.append(svg.note(f"{more} less"))
    sites = _shown_sites(f)
    if sites:
        parts += [svg.heading("Whose survivors hold it"), _site_grid(sites)]
    return svg.frame(*parts, svg.note(_rest(f)))


def _fullness(c: ClassFragmentation) -> str:
    """A bar for each tenth: how many spans are so full."""
    css, _ = group_of(c.elem_size, c.size_class)
    most, body = max(c.fullness), ""
    for i, n in enumerate(c.fullness):
        what = "full" if i == 10 else f"{i * 10} to {i * 10 + 10} % full"
        height = max(n / most * 14, 1.5) if n else 0.5
        box = svg.box(i * 10, 15 - height, 8, height)
        body += svg.shape(css if n else "cf", box, f"{n:,} spans {what}")
    return svg.picture(110, 16, f"spans by fullness: {c.fullness}", body, natural=True)


def _class_bar(c: ClassFragmentation, most: int) -> str:
    parts = [
        ("c3", c.held_bytes, f"{c.held_bytes:,} bytes held"),
        ("cr", c.released_bytes, f"{c.released_bytes:,} bytes given back"),
    ]
    return svg.bar(parts, most, 160)


def _site_grid(sites: Sequence[CallSite]) -> str:
    most = max(s.held_bytes for s in sites)
    rows = []
    for s in sites:
        stack = "\n".join(_where(frame) for frame in s.stack[:_FRAMES])
        if len(s.stack) > _FRAMES:
            stack += f"\n... {counted(len(s.stack) - _FRAMES, 'more frame')}"
        name = f'<span title="{escape(stack)}">{escape(_where(s[:3]))}</span>{escape(_caller(s))}'
        bar = svg.bar([("c3", s.held_bytes, f"{s.held_bytes:,} bytes held")], most, 160)
        held, *others = map(escape, _site_cells(s))
        rows.append((held, bar, *others, name))
    return svg.grid((_SITES[0], "", *_SITES[1:], "call site"), rows, left=(1, 6))
