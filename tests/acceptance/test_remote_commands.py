"""Commands that ask a server say what they say of its index: nothing is lost on the way."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator

import pytest

import processes
from local_cluster import Cluster, cluster
from tailrace.cli.main import main
from waiting import wait_until

NAMELESS = "version: 1\nnodes: {}\n"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("remote")) as running:
        for flow in ("sums", "broken", "broken"):
            running.run("submit", flow, "--watch")
        wait_until(lambda: _told(running) == 3, "the index tells of the end of all runs")
        yield running


def _told(up: Cluster) -> int:
    query = '{ name = "settle" }'
    done = up.run("trace", "search", query, "--server", up.url, "--format", "jsonl")
    return len(done.stdout.splitlines())


Here = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(up: Cluster, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Here:
    """Run a command in this process: code, standard output, standard error."""
    monkeypatch.chdir(up.folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(up.folder / "config"))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(words)
        return (code, *capfd.readouterr())

    return run


@pytest.mark.parametrize(
    "asked",
    [
        "trace list", "trace list --status ERROR --json", "trace list --flow sums",
        "trace list¦--traceql¦{ status = error }",
        "trace show @last", "trace show @last-failed --include-events", "trace show @last --json",
        "trace show @last --format waterfall", "lens trace @last", "lens spans @last", "lens list",
        "trace search¦{ status = error } | select(status)¦--json", "trace search¦{ }",
        "trace search --timeout-only",
        "trace metrics¦{ } | rate() by (name)¦--instant¦--since¦2020-01-01¦--until¦2099-01-01",
        "trace summary --failed", "trace export @last",
        "failures status", "failures status --flow broken --json", "failures list --json",
        "failures show @last --with-stack", "failures show @last --json",
        "failures groups --json", "failures groups show @last --format markdown",
        "failures trail @last", "failures attempts @last-failed", "failures candidates",
        "failures list --run @last-failed --format jsonl", "failures metrics",
        "dlq list --json", "dlq list --each", "dlq list --flow sums", "dlq show @last --json",
    ],
)  # fmt: skip
def test_what_a_server_says_is_what_its_index_says(up: Cluster, here: Here, asked: str) -> None:
    first, *rest = asked.split("¦")
    words = [*first.split(), *rest]
    index = str(up.folder / ".tailrace" / "index.db")
    code, said, _ = here(*words, "--db", index)
    there_code, there, _ = here(*words, "--server", up.url)
    assert there_code == code
    if not first.startswith(("dlq show", "trace summary")):
        assert there.replace(f" --server {up.url}", "") == said.replace(f" --db {index}", "")
    assert there or "candidates" in first or "timeout" in first or "sums" in first


def test_spans_are_shown_as_they_end(up: Cluster) -> None:
    query = '{ name =~ "node.*" }'
    tail = processes.start(
        up.folder,
        *("trace", "tail", "--server", up.url, "--count", "2", "--format", "jsonl"),
        *("--traceql", query, "--since", "1h"),
        env=up.environ(),
        stderr=subprocess.PIPE,
    )
    said, _ = tail.communicate(timeout=60)
    assert {json.loads(line)["name"] for line in said.splitlines()} <= {
        "node add", "node double", "node refuse",
    }  # fmt: skip
    assert len(said.splitlines()) == 2


def test_a_group_is_resolved_and_opened_again_on_the_server(up: Cluster) -> None:
    groups = json.loads(up.run("failures", "groups", "--server", up.url, "--json").stdout)
    fingerprint = groups[0]["fp_site"]

    def change(what: str, *more: str) -> subprocess.CompletedProcess[str]:
        command = ("failures", "groups", what, fingerprint[:12], "--server", up.url)
        return up.run(*command, *more)

    assert change("resolve", "--reason", "mended").stdout == f"{fingerprint}: resolved\n"
    listed = up.run("failures", "groups", "--server", up.url, "--json")
    assert json.loads(listed.stdout) == []
    assert change("ignore", "--for", "1h").stdout == f"{fingerprint}: ignored\n"
    assert change("reopen").stdout == f"{fingerprint}: open\n"
    merged = up.run("failures", "groups", "merge", fingerprint, "v1:0", "--server", up.url)
    assert merged.returncode == 2
    assert "cannot be merged" in merged.stderr
    local = ("failures", "groups", "resolve", fingerprint, "--db", ".tailrace/index.db")
    assert "--server" in up.run(*local).stderr


def test_a_flow_from_standard_input_has_the_name_that_it_says(up: Cluster) -> None:
    text = (up.folder / "sent.yaml").read_text("utf-8")
    done = up.run("submit", "-", "--json", typed=text)
    run_id = json.loads(done.stdout)["run_id"]
    shown = json.loads(up.run("runs", "show", run_id, "--json").stdout)
    named = json.loads(up.run("runs", "list", "--json", "--limit", "1").stdout)[0]
    assert shown["flow_name"] == named["flow_name"] != "-"
    for text, why in ((NAMELESS, "has no name"), ("", "is empty")):
        refused = up.run("submit", "-", typed=text)
        assert refused.returncode == 2
        assert why in refused.stderr
        assert "--flow" in refused.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("trace list --server http://127.0.0.1:1", 5, "does not answer"),
        ("trace list --server ftp://x", 4, "no address"),
        ("trace list --context nobody", 4, "no context"),
        ("trace list --server {url} --db x.db", 2, "exclude each other"),
        ("trace list --server {url} --context x", 2, "exclude each other"),
        ("trace show 00ff --server {url}", 3, "no run id begins with"),
        ("failures show F-9 --server {url}", 3, "no failure has an id"),
        ("dlq show DL-0 --server {url}", 3, "begin"),
        ("trace tail --server http://127.0.0.1:1", 5, "does not answer"),
        ("trace search --server {url} {{", 2, "TR20"),
    ],
)
def test_a_mistake_is_said_with_what_mends_it(
    up: Cluster, here: Here, words: str, code: int, said: str
) -> None:
    found, _, told = here(*words.format(url=up.url).split())
    assert found == code, told
    assert said in told
    assert "Traceback" not in told
    assert str(up.folder) not in told


def test_a_proxy_that_cannot_be_used_is_named(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ("runs", "list", "--server", "http://tailrace.invalid")
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    code, _, told = here(*asked)
    assert code == 4
    assert "ALL_PROXY" in told
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("ALL_PROXY")
    code, _, told = here(*asked)
    assert code == 5
    assert "through the proxy that HTTP_PROXY names" in told
