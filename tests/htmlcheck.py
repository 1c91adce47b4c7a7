"""Reads the HTML of displays back: what every one must keep to, and the rectangles in a picture."""

import re
import xml.etree.ElementTree as ElementTree

_BOX = re.compile(r"M(-?[\d.]+) (-?[\d.]+)h(-?[\d.]+)v(-?[\d.]+)h-?[\d.]+z")
_DASH = re.compile(r"([Mm])(-?[\d.]+) (-?[\d.]+)h(-?[\d.]+)")


def parsed(html, limit=1_000_000):
    """The tree, when the HTML is what a notebook needs: whole, bounded, and with nothing to fetch."""
    assert len(html) < limit
    assert "<script" not in html and "://" not in html and "@import" not in html
    assert not re.search(r"\b(src|href|id|on\w+)=", html), "fetches, clashes, or runs something"
    tree = ElementTree.fromstring(html)  # well-formed: each tag is closed, each & escaped
    assert tree.tag == "div" and tree.get("class") == "goalloc"
    return tree


def boxes(path, height=0.0):
    """(x, y, width, height) of each rectangle, or dash of a line that is so high, of a path element."""
    drawn = path.get("d")
    found = [tuple(map(float, box)) for box in _BOX.findall(drawn)]
    if found:
        assert _BOX.sub("", drawn) == ""
        return found
    x = y = 0.0
    for move, a, b, width in _DASH.findall(drawn):
        x, y = (float(a), float(b)) if move == "M" else (x + float(a), y + float(b))
        found.append((round(x, 3), y - height / 2, float(width), height))
        x += float(width)
    assert found and _DASH.sub("", drawn) == ""
    return found


def shapes(tree):
    """(css classes, rectangles) of every path."""
    groups = [group for group in tree.iter("g") if group.get("class") == "a"]
    heights = {path: float(g.get("stroke-width")) for g in groups for path in g.iter("path")}
    paths = tree.iter("path")
    return [(path.get("class").split(), boxes(path, heights.get(path, 0.0))) for path in paths]


def titles(tree):
    return [title.text for title in tree.iter("title")]


def text_of(tree):
    """All that a reader sees without hovering, in one string."""
    for style in list(tree.iter("style")):
        style.text = ""
    return " ".join(" ".join(tree.itertext()).split())


def tables(tree):
    """Each table as a list of rows of cell texts."""
    return [
        [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]
        for table in tree.iter("table")
    ]
