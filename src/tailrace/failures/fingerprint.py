"""Which failures are the same: by the kind of error and its place, and by what its message says."""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b

from tailrace.failures.frames import Site

VERSION = "v1"
"""Stands before every fingerprint; changes when equal failures would get other ones."""
_DEFAULT = "{{default}}"
_MAX_TEMPLATE = 512
"""Characters of a message that a template is made of."""
_MOST_TEMPLATES = 1024
"""Fingerprints of messages that are remembered before all are forgotten."""
_HINT = re.compile(r"[\d\"'`]")
"""Without one of these a message has no parts that vary."""
_VARYING = re.compile(
    r"""
    (?P<text> "[^"\n]*(?:"|\Z) | `[^`\n]*(?:`|\Z) | (?<!\w)'[^'\n]*(?:'(?!\w)|\Z) )
    | \b(?=[A-Za-z_]*\d)(?:
        0[xX][0-9a-fA-F]+\b
        | [0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b
        | (?P<time> \d{4}-\d\d-\d\d
            (?:[T\ ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:\ ?Z|\ ?[+-]\d\d:?\d\d)?)?\b )
        | (?P<ip> \d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b
            | (?:[0-9a-fA-F]{1,4}:){2,7}:?(?:[0-9a-fA-F]{1,4})?(?![\w:]) )
        | [0-9a-fA-F]{6,}\b
        | (?=\d*[A-Za-z_])\w{16,}\b
    )
    | [-+]?\d+(?:[.,]\d+)*(?:[eE][-+]?\d+)?
    """,
    re.VERBOSE,
)
"""Quoted texts; hexadecimal numbers, UUIDs, timestamps, addresses, long ids; other numbers."""


@lru_cache(maxsize=1024)
def site_fingerprint(
    types: tuple[str, ...], members: tuple[str, ...], site: tuple[Site, ...]
) -> str:
    """Return ``v1:`` and 32 hex digits.

    Equal for equal type chains (``types``: the error and its causes, ``members``: the sorted types
    inside a group) raised through the same functions (``site``). Line numbers, files, messages
    and the depth of a recursion do not count.
    """
    functions = [f"{module}.{function}" for module, function in site]
    return _digest("\x1e".join("\x1f".join(part) for part in (types, members, functions)))


_SOME_DIGIT = bytes.maketrans(b"0123456789", b"1" * 10)
_TEMPLATES: dict[tuple[str, bytes], str] = {}
"""Fingerprints by site and by what a message is with each digit the same one."""


def template_fingerprint(site: str, message: str) -> str:
    """Return ``v1:`` and 32 hex digits of a site and of what its message says beside ids."""
    text = message[:_MAX_TEMPLATE]
    if not text.isascii() or "0x" in text or "0X" in text:
        return _of_template(site, template_of(text))
    key = (site, text.encode().translate(_SOME_DIGIT))  # which digit it is matters in 0x alone
    found = _TEMPLATES.get(key)
    if found is None:
        if len(_TEMPLATES) >= _MOST_TEMPLATES:
            _TEMPLATES.clear()
        found = _TEMPLATES[key] = _of_template(site, template_of(text))
    return found


@lru_cache(maxsize=1024)
def _of_template(site: str, template: str) -> str:
    return _digest(f"{site}\x1e{template}")


def template_of(message: str) -> str:
    """Return the first 512 characters of a message with what varies in them replaced.

    Quoted texts become ``<text>``, timestamps ``<time>``, addresses ``<ip>``; UUIDs, numbers of any
    base and long ids ``<n>``.
    """
    text = message[:_MAX_TEMPLATE]
    hint = _HINT.search(text)
    if hint is None:
        return text
    fixed = text.rfind(" ", 0, hint.start()) + 1  # whatever varies begins in the hint's own word
    return text[:fixed] + _VARYING.sub(_kind, text[fixed:])


def custom_fingerprint(wish: str, default: str) -> str:
    """Return the fingerprint for an exception that names its own group.

    ``{{default}}`` inside the name stands for what it would have been.
    """
    return _digest("custom\x1e" + wish.replace(_DEFAULT, default))


def _kind(match: re.Match[str]) -> str:
    return f"<{match.lastgroup or 'n'}>"


def _digest(text: str) -> str:
    data = f"{VERSION}\x1e{text}".encode("utf-8", "backslashreplace")
    return f"{VERSION}:{blake2b(data, digest_size=16).hexdigest()}"
