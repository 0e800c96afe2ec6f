"""Commands that ask a server say what they say of its index: nothing is lost on the way."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator

import pytest

import processes
from local_cluster import Cluster, cluster
from tailrace.cli.main import main
from waiting import wait_until

NAMELESS = "version: 1\nnodes: {}\n"
SHOP = """
import logging
from pathlib import Path
from tailrace import Flow, task


def tell(item: int) -> int:
    print("item", item)
    logging.getLogger("shop").warning("item %s is odd", item)
    return item


@task
def count() -> int:
    return 7


@task
def ship(count: int) -> int:
    if not Path("mended").exists():
        raise ConnectionError("no route")
    return count


half = Flow("half", count >> ship)
"""
TOLD = """\
version: 1
name: told
tasks: {tell: {callable: "shop:tell"}}
flow:
  defaults: {items: [1, 2, 3, 4, 5, 6, 7]}
  graph: |
    each: foreach(over=items, item=item, concurrency=1) { tell }
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("remote")
    (folder / "shop.py").write_text(SHOP)
    with cluster(folder, "--flows", "shop", "--allow-modules", "shop") as running:
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
        "trace list --lineage @last", "trace list --lineage @last-failed --json",
        "trace diff @last-failed @last", "trace diff @last @last-failed --json",
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


def words_of(said: str) -> list[str]:
    """Return what lines begin with: all but times and ids."""
    lines = said.splitlines()
    return [re.split(r"  +", line)[0] for line in lines if not line.startswith("run ")]


def test_what_tasks_say_and_how_loops_go_on_is_shown_as_of_a_run_here(up: Cluster) -> None:
    (up.folder / "told.yaml").write_text(TOLD)
    here = up.run("run", "told.yaml", "--tracer", "none", "--no-diary")
    for command in (("run", "told.yaml", "--remote"), ("submit", "told.yaml", "--watch")):
        there = up.run(*command)
        assert (
            (there.returncode, there.stdout) == (here.returncode, here.stdout) == (0, here.stdout)
        )
        assert words_of(there.stderr) == words_of(here.stderr)
    assert "item 7" in here.stderr
    assert "foreach · 7 iterations" in there.stderr


def test_a_flow_that_a_worker_cannot_use_is_told_as_one_that_is_wrong_here(up: Cluster) -> None:
    text = TOLD.replace("{tell:", "{zz: {callable: 'shop:none'}, tell:").replace("p:tell", "p:no")
    (up.folder / "wrong.yaml").write_text(text)
    here = up.run("run", "wrong.yaml")
    there = up.run("run", "wrong.yaml", "--remote")
    assert there.returncode == here.returncode == 2
    assert there.stderr == here.stderr
    assert "--> wrong.yaml:3:" in there.stderr
    (up.folder / "foreign.yaml").write_text(TOLD.replace("shop:tell", "json:dumps"))
    foreign = up.run("submit", "foreign.yaml", "--watch")
    assert foreign.returncode == 2
    assert "--allow-modules json" in foreign.stderr
    assert up.run("run", "nobody-has-it", "--remote").returncode == 2


def test_a_run_of_the_server_is_gone_on_with(up: Cluster, here: Here) -> None:
    at = ("--server", up.url)
    failed = json.loads(up.run("run", "half", "--remote", "--json").stdout)["run_id"]
    code, _, told = here("resume", failed, "--set", "ship.count=1", *at)
    assert code == 2
    assert "--set" in told
    wait_until(lambda: here("trace", "show", failed, *at)[0] == 0, "the index has the run")
    (up.folder / "mended").touch()
    code, said, told = here("resume", failed[:20], *at)
    assert (code, said) == (0, "7\n"), told
    assert f"reused from run {failed}" in told
    assert "✔ ship" in told
    done = told.split("run ")[-1].split()[0]
    wait_until(lambda: here("trace", "show", done, *at)[0] == 0, "the index has the new run")
    code, _, told = here("resume", failed, *at)
    assert (code, told) == (0, f"run {done} has finished everything; name nodes with --from\n")
    code, said, _ = here("resume", failed, "--from", "count", "--json", *at)
    assert (code, json.loads(said)["output"]) == (0, 7)
    letters = json.loads(
        here("dlq", "list", "--flow", "half", "--state", "resolved", "--json", *at)[1]
    )
    assert len(letters) == 1
    (up.folder / "mended").unlink()


def test_letters_of_the_server_are_redriven_by_a_filter(up: Cluster, here: Here) -> None:
    at = ("--flow", "half", "--server", up.url)
    for _ in range(2):
        assert up.run("submit", "half", "--watch").returncode == 1

    def waiting() -> int:
        return len(json.loads(here("dlq", "list", "--json", *at)[1]))

    wait_until(lambda: waiting() == 2, "the index has both letters")
    code, said, _ = here("dlq", "redrive", "--dry-run", *at)
    assert code == 0
    assert "would redrive 2 letters (half/ship 2)" in said
    assert "  reuse    count   2 stored results" in said
    assert waiting() == 2
    code, said, _ = here("dlq", "redrive", "--limit", "1", "--json", *at)
    assert (code, json.loads(said)["counts"]["failed"]) == (1, 1)
    (up.folder / "mended").touch()
    code, said, told = here("dlq", "redrive", "--canary", "1", *at)
    assert code == 0, told
    assert "2 claimed, 2 resolved" in said
    assert told.count("✔ DL-") == 2
    code, _, told = here("dlq", "redrive", *at)
    assert code == 3
    assert "TR349" in told
    code, said, _ = here("dlq", "redrive", "--flow", "broken", "--dry-run", "--server", up.url)
    assert "permanent" in said
    (up.folder / "mended").unlink()


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
