"""What a stdout gets whose encoding lacks the signs of the views: plain ones, each as wide as its own."""

from __future__ import annotations

import codecs
import sys

_NAME = "goalloc.plain"
_PLAIN = str.maketrans(
    {
        **dict(zip("└├│·…", "`+|.~")),
        **dict(zip("░▒▓█■≡▪", "-=+#@%o")),
        **dict(zip("▁▂▃▄▅▆▇", "1234567")),
    }
)
_BYTES = range(0xDC80, 0xDD00)  # as surrogateescape has them: what it read as no text goes out as it was


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    sign = error.object[error.start]
    if ord(sign) in _BYTES:
        return bytes([ord(sign) - 0xDC00]), error.start + 1
    plain = sign.translate(_PLAIN)
    return plain if plain.isascii() else "?", error.start + 1


def allow_any_stdout() -> None:
    """Prints of what stdout cannot encode don't fail from now on.

    Whoever asked for another way than to fail, as by PYTHONIOENCODING=ascii:replace, gets that.
    """
    if getattr(sys.stdout, "errors", None) in ("strict", "surrogateescape"):
        codecs.register_error(_NAME, _plain)
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors=_NAME)
