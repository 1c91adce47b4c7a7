"""An XML document: built as a tree, written, parsed, searched."""

import zlib
from xml.etree import ElementTree


def main(scale: float) -> int:
    root = ElementTree.Element("catalogue")
    for n in range(int(20_000 * scale)):
        book = ElementTree.SubElement(root, "book", id=str(n), lang="en" if n % 2 else "de")
        ElementTree.SubElement(book, "title").text = f"Title & number {n}"
        ElementTree.SubElement(book, "price").text = f"{n / 100:.2f}"
        ElementTree.SubElement(book, "author").text = f"Author {n % 300}"
    text = ElementTree.tostring(root, encoding="unicode")
    again = ElementTree.fromstring(text)
    german = again.findall("book[@lang='de']")
    prices = sum(float(price.text or 0) for price in again.iter("price"))
    return zlib.crc32(text.encode()) + len(german) + round(prices)
