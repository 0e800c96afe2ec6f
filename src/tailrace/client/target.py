"""Which server is meant, and with which key."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from tailrace.client.contexts import Context, contexts_file, load_contexts
from tailrace.client.local import running_in
from tailrace.errors import SettingsError
from tailrace.settings import STATE_FOLDER, Settings, load_settings

DEFAULT_SERVER = "http://127.0.0.1:8000"
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Target(Struct, frozen=True, kw_only=True):
    """A server and how it is spoken to."""

    server: str
    """Address without a slash at its end."""
    api_key: str = ""
    api_key_header: str = "X-API-Key"
    origin: str = "default"
    """Where the address comes from, for people."""

    @property
    def is_loopback(self) -> bool:
        """Whether the server is on this machine; proxies are not asked then."""
        return urlsplit(self.server).hostname in _LOOPBACK


def find_target(
    server: str = "",
    *,
    context: str = "",
    api_key: str = "",
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Target:
    """Return the server that is meant.

    The first of these says it:

    ``server`` or ``context``; ``TAILRACE_SERVER`` or ``TAILRACE_CONTEXT``; ``client.server`` or
    ``client.context`` of ``tailrace.toml``; the current context; the ``tailrace up`` of this
    folder or one above; http://127.0.0.1:8000.

    A key from the environment is never sent to an address that a project's file names: whoever
    clones a repository does not send a key to where its author likes. Name the server oneself, or
    save it as a context, to use one.

    Raises:
        SettingsError: the address is none (TR192), or there is no such context (TR410).
    """
    environ = os.environ if environ is None else environ
    here = (folder or Path.cwd()).absolute()
    settings = load_settings(here, environ=environ)
    saved = contexts_file(environ)
    found = _meant(server, context, settings, saved, here)
    key = api_key or found.api_key
    if not key and _may_have_key(found, settings):
        key = settings.client.api_key
    return Target(
        server=checked(found.server),
        api_key=key,
        api_key_header=found.api_key_header,
        origin=found.origin,
    )


def _meant(server: str, context: str, settings: Settings, saved: Path, here: Path) -> Target:
    client, origins = settings.client, settings.origins
    if server:
        return Target(server=server, api_key_header=client.api_key_header, origin="--server")
    if context:
        return _of_context(load_contexts(saved).named(context), f"context {context}")
    if client.server and not _is_file(origins["client.server"]):
        return Target(
            server=client.server,
            api_key_header=client.api_key_header,
            origin=origins["client.server"],
        )
    if client.context:
        named = load_contexts(saved).named(client.context)
        return _of_context(named, f"context {client.context}, from {origins['client.context']}")
    if client.server:
        return Target(
            server=client.server,
            api_key_header=client.api_key_header,
            origin=origins["client.server"],
        )
    contexts = load_contexts(saved)
    if contexts.current:
        return _of_context(contexts.named(contexts.current), f"context {contexts.current}")
    for place in (here, *here.parents):
        running = running_in(place / STATE_FOLDER)
        if running is not None and running.server:
            return Target(
                server=running.server,
                api_key_header=client.api_key_header,
                origin=f"tailrace up in {place / STATE_FOLDER}",
            )
    return Target(server=DEFAULT_SERVER, api_key_header=client.api_key_header)


def _of_context(context: Context, origin: str) -> Target:
    return Target(
        server=context.server,
        api_key=context.api_key,
        api_key_header=context.api_key_header,
        origin=origin,
    )


def _may_have_key(found: Target, settings: Settings) -> bool:
    """Whether the key of the settings may be sent: not from elsewhere to where a file says."""
    if not _is_file(found.origin) or found.is_loopback:
        return True
    return settings.origins["client.api_key"] == found.origin


def _is_file(origin: str) -> bool:
    return origin.endswith(".toml")


def checked(server: str) -> str:
    """Return an address as it is used.

    Raises:
        SettingsError: it is none (TR192).
    """
    text = server.strip()
    if "://" not in text:
        text = f"http://{text}"
    try:
        parts = urlsplit(text)
        is_good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good or any(sign.isspace() for sign in text) or parts.query or parts.fragment:
        raise SettingsError(
            f"{server!r} is no address of a server",
            code="TR192",
            hint="write such as http://127.0.0.1:8000 or https://tailrace.example.com",
        )
    return text.rstrip("/")
