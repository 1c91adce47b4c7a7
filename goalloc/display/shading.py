"""How a span is coloured wherever spans are drawn: by size in five groups, shaded by fullness."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..stats import Span

# largest slot of the group, css class, name
GROUPS = (
    (64, "c1", "slots to 64 B"),
    (512, "c2", "to 512 B"),
    (4096, "c3", "to 4 KiB"),
    (32768, "c4", "to 32 KiB"),
)
LARGE = ("c5", "large objects")
STACKS = ("c6", "stacks")
FREE = ("cf", "free, kept")
RELEASED = ("cr", "given back, or not yet used")

_STEPS = (" o0", " o1", " o2", " o3")
_BLOCKS = "░▒▓█"


def group_of(elem_size: int, size_class: int) -> tuple[str, str]:
    """The css class and the name of the group of a span in use."""
    if size_class:
        for largest, css, name in GROUPS:
            if elem_size <= largest:
                return css, name
    return LARGE


def kind_of(span: Span) -> tuple[str, str]:
    """The same of any span, by its state."""
    if span.state == "free":
        return RELEASED if span.scavenged else FREE
    if span.state == "manual":
        return STACKS
    return group_of(span.elem_size, span.size_class)


def shade(part: float) -> str:
    """To add to the css class of what is full to this part, 0 to 1; only 1 is full."""
    return _STEPS[int(part * 4)] if part < 1 else ""


def block(part: float) -> str:
    """A character for the same."""
    return _BLOCKS[min(int(part * 4), 3)]


def span_title(span: Span) -> str:
    """What a tooltip says about a span."""
    where = f"{span.start:#x}, {span.npages} page{'s' * (span.npages > 1)}"
    if span.state == "free":
        return f"{where}: free, {'given back or not yet used' if span.scavenged else 'kept'}"
    if span.state == "manual":
        return f"{where}: stacks, {span.alloc_count} of {span.nelems} in use"
    scan = "noscan" if span.noscan else "scan"
    if span.size_class == 0:
        return f"{where}: one large object, {scan}"
    text = f"{where}: {span.alloc_count} of {span.nelems} x {span.elem_size} B {scan} live"
    if span.cached:
        text += f", {span.cached} in caches"
    if span.os_released:
        text += f", {span.released_bytes} B given back"
    return text
