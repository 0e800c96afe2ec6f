"""Which failures are the same: a hash of the kind of error and the place in the user's code."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

from tailrace.failures.frames import Site

_VERSION = "v1"
_DEFAULT = "{{default}}"


@lru_cache(maxsize=1024)
def site_fingerprint(
    types: tuple[str, ...], members: tuple[str, ...], site: tuple[Site, ...]
) -> str:
    """Return 32 hex digits.

    Equal for equal type chains (``types``: the error and its causes, ``members``: the sorted types
    inside a group) raised through the same functions (``site``). Line numbers, files, messages
    and the depth of a recursion do not count.
    """
    functions = [f"{module}.{function}" for module, function in site]
    return _digest("\x1e".join("\x1f".join(part) for part in (types, members, functions)))


def custom_fingerprint(wish: str, default: str) -> str:
    """Return the fingerprint for an exception that names its own group.

    ``{{default}}`` inside the name stands for what it would have been.
    """
    return _digest("custom\x1e" + wish.replace(_DEFAULT, default))


def _digest(text: str) -> str:
    data = f"{_VERSION}\x1e{text}".encode("utf-8", "backslashreplace")
    return blake2b(data, digest_size=16).hexdigest()
