"""Saved contexts: servers under a name, with the key for each."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct, field

from tailrace.errors import SettingsError

_ANEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
_FOLDER, _FILE = "tailrace", "contexts.json"


class Context(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A server and how it is spoken to."""

    server: str
    api_key: str = ""
    api_key_header: str = "X-API-Key"


class Contexts(Struct, frozen=True, kw_only=True):
    """All saved contexts."""

    current: str = ""
    """The one that is used where none is named; empty: none."""
    contexts: dict[str, Context] = field(default_factory=dict)

    def named(self, name: str) -> Context:
        """Return a context.

        Raises:
            SettingsError: there is none of that name (TR410).
        """
        if name not in self.contexts:
            known = ", ".join(sorted(self.contexts)) or "none yet"
            raise SettingsError(
                f"no context is called {name!r} (known: {known})",
                code="TR410",
                hint="tailrace context add NAME --server URL saves one",
            )
        return self.contexts[name]

    def with_context(self, name: str, context: Context) -> Contexts:
        """Return them with one more; the first one becomes the current one."""
        changed = {**self.contexts, name: context}
        return Contexts(current=self.current or name, contexts=changed)

    def using(self, name: str) -> Contexts:
        """Return them with another current one; empty: with none.

        Raises:
            SettingsError: there is none of that name (TR410).
        """
        if name:
            self.named(name)
        return Contexts(current=name, contexts=self.contexts)

    def without(self, name: str) -> Contexts:
        """Return them without one.

        Raises:
            SettingsError: there is none of that name (TR410).
        """
        self.named(name)
        left = {key: one for key, one in self.contexts.items() if key != name}
        return Contexts(current="" if self.current == name else self.current, contexts=left)


def contexts_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the file of the user's contexts."""
    base = environ.get("XDG_CONFIG_HOME") or ""
    folder = Path(base) if base.startswith("/") else Path("~/.config").expanduser()
    return folder / _FOLDER / _FILE


def load_contexts(file: Path) -> Contexts:
    """Return the saved contexts; none where there is no file.

    Raises:
        SettingsError: the file cannot be read (TR410).
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=Contexts)
    except (FileNotFoundError, NotADirectoryError):
        return Contexts()
    except (OSError, msgspec.DecodeError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingsError(
            f"{file} cannot be read: {reason}",
            code="TR410",
            hint="mend or remove it; tailrace context add writes it anew",
        ) from error


def save_contexts(file: Path, contexts: Contexts) -> None:
    """Write the contexts; nobody else may read the file, as it holds keys."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = file.with_suffix(".new")
    with os.fdopen(os.open(new, _ANEW, 0o600), "wb") as out:
        out.write(msgspec.json.format(msgspec.json.encode(contexts), indent=2))
    new.replace(file)
