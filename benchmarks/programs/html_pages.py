"""HTML pages: filled from a template, escaped, parsed again by html.parser."""

import html
import string
from html.parser import HTMLParser

_PAGE = string.Template("<html><head><title>$title</title></head><body>$body</body></html>")
_ROW = string.Template('<tr class="$kind"><td>$name</td><td><a href="/$n">$text</a></td></tr>')


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if name == "href" and value]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def main(scale: float) -> int:
    total = 0
    for page in range(int(180 * scale) or 1):
        rows = [
            _ROW.substitute(kind="odd" if n % 2 else "even", n=n, name=html.escape(f"<{n}> & co"),
                            text=html.escape(f'"quoted" {page * n}'))
            for n in range(100)
        ]  # fmt: skip
        parser = Links()
        parser.feed(_PAGE.substitute(title=f"Page {page}", body="\n".join(rows)))
        parser.close()
        total += len("".join(parser.text)) + sum(len(link) for link in parser.links)
    return total
