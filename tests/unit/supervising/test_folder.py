from __future__ import annotations

import json
from pathlib import Path

import pytest

from tailrace.cli.supervising.folder import DataFolder
from tailrace.client.local import Running, running_in
from tailrace.errors import SettingsError
from tailrace.jetstream.server import LocalServer, is_port_free

VERSION = (2, 15, 1)


def server_of(path: Path, version: tuple[int, int, int] = VERSION) -> LocalServer:
    folder = DataFolder(path)
    with folder.taken():
        return folder.local_server(Path("nats-server"), version, "single")


def test_port_and_token_stay_over_restarts_and_the_name_does_not(tmp_path: Path) -> None:
    first, second = server_of(tmp_path), server_of(tmp_path)
    assert (first.port, first.token) == (second.port, second.token)
    assert first.name != second.name
    assert server_of(tmp_path / "other").token != first.token


def test_who_uses_a_folder_is_known_while_it_is_used(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    assert running_in(tmp_path) is None
    with folder.taken():
        folder.announce("http://127.0.0.1:8000")
        found = running_in(tmp_path)
        assert isinstance(found, Running)
        assert found.server == "http://127.0.0.1:8000"
        with pytest.raises(SettingsError, match=f"process {found.pid}") as caught:
            DataFolder(tmp_path).taken().__enter__()
        assert caught.value.code == "TR198"
    assert running_in(tmp_path) is None


@pytest.mark.parametrize(
    ("memory", "said"),
    [
        ('{"layout": 2}', "its layout is 2"),
        (
            '{"layout": 1, "nats_version": [2, 16, 0]}',
            "nats-server 2.16.0 wrote it, here is 2.15.1",
        ),
        ("{", "cannot be read"),
        ("[]", "is not what tailrace up has written"),
    ],
)
def test_a_folder_of_another_version_is_refused_untouched(
    tmp_path: Path, memory: str, said: str
) -> None:
    (tmp_path / "up.json").write_text(memory)
    with pytest.raises(SettingsError, match=said) as caught:
        server_of(tmp_path)
    assert caught.value.code == "TR199"
    assert (tmp_path / "up.json").read_text() == memory


def test_a_newer_server_may_take_over_the_folder_of_an_older_one(tmp_path: Path) -> None:
    server_of(tmp_path, (2, 14, 0))
    server_of(tmp_path, VERSION)
    assert json.loads((tmp_path / "up.json").read_bytes())["nats_version"] == [2, 15, 1]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError) as caught:
        DataFolder(tmp_path / "file" / "inner").taken().__enter__()
    assert caught.value.code == "TR198"


@pytest.mark.parametrize(("profile", "interval"), [("single", "1s"), ("durable", "always")])
def test_the_profile_says_how_often_writes_reach_the_disk(
    tmp_path: Path, profile: str, interval: str
) -> None:
    folder = DataFolder(tmp_path / 'a "folder"')
    with folder.taken():
        server = folder.local_server(Path("nats-server"), VERSION, profile)
    server.prepare()
    text = server.file.read_text()
    assert f'sync_interval: "{interval}"' in text
    assert 'a \\"folder\\"' in text
    assert server.file.stat().st_mode & 0o077 == 0


def test_a_host_of_another_machine_is_no_free_port() -> None:
    with pytest.raises(OSError, match=r"\w"):
        is_port_free("192.0.2.1", 8000)
