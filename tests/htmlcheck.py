"""Reads the HTML of displays back: what every one must keep to, and the rectangles in a picture."""

import re
import xml.etree.ElementTree as ElementTree

_BOX = re.compile(r"M(-?[\d.]+) (-?[\d.]+)h(-?[\d.]+)v(-?[\d.]+)h-?[\d.]+z")


def parsed(html, limit=1_000_000):
    """The tree, when the HTML is what a notebook needs: whole, bounded, and with nothing to fetch."""
    assert len(html) < limit
    assert "<script" not in html and "://" not in html and "@import" not in html
    assert not re.search(r"\b(src|href|id|on\w+)=", html), "fetches, clashes, or runs something"
    tree = ElementTree.fromstring(html)  # well-formed: each tag is closed, each & escaped
    assert tree.tag == "div" and tree.get("class") == "goalloc"
    return tree


def boxes(path):
    """(x, y, width, height) of each rectangle of a path element."""
    found = _BOX.findall(path.get("d"))
    assert "".join(f"M{x} {y}h{w}v{h}h-{w}z" for x, y, w, h in found) == path.get("d")
    return [tuple(map(float, box)) for box in found]


def shapes(tree):
    """(css classes, rectangles) of every path."""
    return [(path.get("class").split(), boxes(path)) for path in tree.iter("path")]


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
