"""Text in terminal cells: what is safe to print, how wide it is, how to cut and pad it."""

from __future__ import annotations

from collections.abc import Iterator

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_LINE_ENDS = frozenset("\u2028\u2029")
_JOINER = "\u200d"
_EMOJI_STYLE = "\ufe0f"
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def clean(text: str) -> str:
    """Return ``text`` on one line, its control, bidi and lone surrogate characters spelled out.

    What a user's data says can then neither move the cursor nor reorder the line around it.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    code = ord(character)
    if code < 0x20 or 0x7F <= code < 0xA0:
        return _NAMED.get(character, f"\\x{code:02x}")
    if character in _BIDI or character in _LINE_ENDS or 0xD800 <= code <= 0xDFFF:
        return f"\\u{code:04x}"
    return character


def cells(text: str) -> int:
    """Return how many terminal cells ``text`` takes (East Asian wide characters take two)."""
    if text.isascii():
        return len(text)
    return sum(width for _, width in _clusters(text))


def cut(text: str, width: int, *, ellipsis: str = "…") -> str:
    """Return ``text``, or its beginning and an ellipsis, in at most ``width`` cells."""
    if cells(text) <= width:
        return text
    room = width - cells(ellipsis)
    if room < 0:
        return ellipsis[: max(width, 0)]
    kept: list[str] = []
    for cluster, size in _clusters(text):
        if size > room:
            break
        kept.append(cluster)
        room -= size
    return "".join(kept) + ellipsis


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Return ``text`` filled with blanks to ``width`` cells; ``right`` aligns it to the right."""
    fill = " " * max(0, width - cells(text))
    return fill + text if right else text + fill


def _clusters(text: str) -> Iterator[tuple[str, int]]:
    """Yield what is drawn together and its width: marks and joined emoji count with their base."""
    from unicodedata import combining, east_asian_width  # noqa: PLC0415 - ASCII needs no tables

    cluster, size, joined = "", 0, False
    for character in text:
        code = ord(character)
        is_mark = (
            joined
            or character in (_JOINER, _EMOJI_STYLE)
            or combining(character) != 0
            or 0x1F3FB <= code <= 0x1F3FF
            or 0x200B <= code <= 0x200C
        )
        if is_mark and cluster:
            cluster += character
            if character == _EMOJI_STYLE:
                size = 2
        else:
            if cluster:
                yield cluster, size
            cluster = character
            size = 2 if east_asian_width(character) in "WF" else 0 if is_mark else 1
        joined = character == _JOINER
    if cluster:
        yield cluster, size
