from __future__ import annotations

import fcntl
import json
from pathlib import Path

import pytest

from tailrace.client.contexts import Context, Contexts, contexts_file, load_contexts, save_contexts
from tailrace.client.target import DEFAULT_SERVER, checked, find_target
from tailrace.errors import SettingsError


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CONFIG_HOME": str(tmp_path / "config")}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project" / "inner"
    folder.mkdir(parents=True)
    return folder


def save(environ: dict[str, str], **contexts: Context) -> None:
    save_contexts(contexts_file(environ), Contexts(current="prod", contexts=contexts))


def test_without_anything_it_is_the_default(project: Path, environ: dict[str, str]) -> None:
    found = find_target(folder=project, environ=environ)
    assert (found.server, found.origin) == (DEFAULT_SERVER, "default")


def test_each_source_goes_before_the_ones_after_it(project: Path, environ: dict[str, str]) -> None:
    def meant(server: str = "", context: str = "") -> tuple[str, str]:
        found = find_target(server, context=context, folder=project, environ=environ)
        return found.server, found.api_key

    data = project.parent / ".tailrace"
    data.mkdir()
    lock = data / "up.lock"
    lock.write_text(json.dumps({"pid": 1, "server": "http://127.0.0.1:7001"}))
    assert meant()[0] == DEFAULT_SERVER  # nobody holds the lock
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert meant()[0] == "http://127.0.0.1:7001"
        prod = Context(server="https://prod", api_key="k1")
        save(environ, prod=prod, test=Context(server="https://test", api_key="k2"))
        assert meant() == ("https://prod", "k1")
        (project.parent / "tailrace.toml").write_text('[client]\nserver = "https://file"\n')
        assert meant() == ("https://file", "")
        environ["TAILRACE_CONTEXT"] = "test"
        assert meant() == ("https://test", "k2")
        environ["TAILRACE_SERVER"] = "https://variable"
        assert meant() == ("https://variable", "")
        assert meant(context="prod") == ("https://prod", "k1")
        assert meant("flag:8000") == ("http://flag:8000", "")


def test_a_key_of_the_environment_never_goes_where_a_file_says(
    project: Path, environ: dict[str, str]
) -> None:
    environ["TAILRACE_API_KEY"] = "mine"
    (project / "tailrace.toml").write_text('[client]\nserver = "https://elsewhere"\n')
    assert find_target(folder=project, environ=environ).api_key == ""
    assert find_target("https://elsewhere", folder=project, environ=environ).api_key == "mine"
    (project / "tailrace.toml").write_text('[client]\nserver = "http://127.0.0.1:9"\n')
    assert find_target(folder=project, environ=environ).api_key == "mine"


@pytest.mark.parametrize(
    "server", ["", ":1", "ftp://x", "http://", "http://a b", "http://x:99999", "http://x?y=1"]
)
def test_what_is_no_address_is_refused(server: str) -> None:
    with pytest.raises(SettingsError) as caught:
        checked(server)
    assert caught.value.code == "TR192"


def test_contexts_are_saved_for_their_owner_alone(environ: dict[str, str]) -> None:
    file = contexts_file(environ)
    assert load_contexts(file) == Contexts()
    contexts = Contexts().with_context("a", Context(server="http://a", api_key="secret"))
    assert contexts.current == "a"
    save_contexts(file, contexts.with_context("b", Context(server="http://b")).using("b"))
    assert file.stat().st_mode & 0o077 == 0
    again = load_contexts(file)
    assert (again.current, sorted(again.contexts)) == ("b", ["a", "b"])
    assert again.without("b").current == ""
    for wrong in (again.named, again.using, again.without):
        with pytest.raises(SettingsError, match="known: a, b"):
            wrong("c")


def test_a_file_of_contexts_that_is_damaged_is_said(environ: dict[str, str]) -> None:
    file = contexts_file(environ)
    file.parent.mkdir(parents=True)
    file.write_text("{")
    with pytest.raises(SettingsError) as caught:
        load_contexts(file)
    assert caught.value.code == "TR410"
