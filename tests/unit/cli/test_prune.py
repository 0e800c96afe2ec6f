"""``tailrace db prune`` and ``db vacuum``: what they say, and what they refuse."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tailrace.cli.main import main
from tailrace.model import RunId, SpanStatus, SpanType
from tailrace.model.ids import SpanId
from tailrace.model.span import Span
from tailrace.store.foreign import ForeignWriter


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with three old traces from elsewhere, one of which failed."""
    path = tmp_path / "traces.db"
    with closing(ForeignWriter(path)) as writer:
        writer.write(
            Span(
                trace_id=RunId(f"{number:032x}"),
                span_id=SpanId(f"{number:016x}"),
                parent_id=None,
                name="GET /",
                type=SpanType.FOREIGN,
                start_ns=number * 10**9,
                end_ns=number * 10**9 + 1,
                status=SpanStatus.ERROR if number == 1 else SpanStatus.UNSET,
                resource={"service.name": "shop"},
            )
            for number in (1, 2, 3)
        )
    monkeypatch.chdir(tmp_path)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["db", *arguments, "--db", "traces.db"])
    return code, *capsys.readouterr()


def facts(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    return json.loads(run(capsys, *arguments, "--json")[1])


@pytest.mark.usefixtures("database")
def test_a_dry_run_says_what_would_go_and_deletes_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = run(capsys, "prune", "--keep-runs", "1", "--dry-run")
    assert code == 0
    assert "0 runs and 2 traces from elsewhere would be deleted, with 2 spans" in out
    assert facts(capsys, "stats")["foreign_traces"] == 3
    gone = facts(capsys, "prune", "--keep-runs", "1")
    assert (gone["runs"], gone["traces"], gone["dry_run"]) == (0, 2, False)
    assert facts(capsys, "stats")["foreign_traces"] == 1
    assert run(capsys, "check")[0] == 0


@pytest.mark.usefixtures("database")
def test_the_settings_say_what_is_kept_where_the_options_do_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, _, err = run(capsys, "prune")
    assert (code, "say what to keep" in err) == (2, True)
    Path("tailrace.toml").write_text('[retention]\nkeep_days = 1\nmax_size = "2GB"\n', "utf-8")
    assert facts(capsys, "prune", "--dry-run")["traces"] == 3
    assert facts(capsys, "prune", "--dry-run", "--keep-errors-days", "36500")["traces"] == 2
    assert facts(capsys, "prune", "--dry-run", "--keep-runs", "2")["traces"] == 1


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--max-size", "2 apples"], "'2 apples' is not a size such as 500MB or 2GB"),
        (["--keep-days", "-1"], "-1.0 is not in the range"),
        (["--keep-runs", "many"], "'many' is not a valid integer"),
    ],
)
def test_what_is_no_number_is_refused(
    options: list[str], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "prune", *options)
    assert (code, part in err) == (2, True)


def test_there_has_to_be_a_database(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["prune", "--keep-days", "1"], ["vacuum"]):
        assert main(["db", *command, "--db", str(tmp_path / "none.db")]) == 5
        assert "error[TR501]" in capsys.readouterr().err
    assert not (tmp_path / "none.db").exists()


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("options", [[], ["--full"]])
def test_vacuum_tells_the_size(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "vacuum", *options)
    assert (code, "kB, now" in out) == (0, True)
    assert facts(capsys, "vacuum", *options)["large_outputs"] == 0


@pytest.mark.usefixtures("database")
def test_stats_tell_traces_segments_and_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "vacuum")[0] == 0
    stats = facts(capsys, "stats", "--tables")
    assert (stats["foreign_traces"], stats["foreign_spans"], stats["sealed_spans"]) == (3, 3, 3)
    assert 0 < stats["bytes_per_span"] * (stats["spans"] + 3) < stats["size_bytes"] / 2
    assert sum(stats["table_bytes"].values()) > 0
    assert "3 traces of 3 spans" in run(capsys, "stats")[1]
    assert "table_bytes" not in facts(capsys, "stats")


@pytest.mark.usefixtures("database")
def test_traces_from_elsewhere_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "list", "--db", "traces.db", "--flow", "shop"]) == 0
    assert capsys.readouterr().out.count("shop") == 3
    assert main(["trace", "show", f"{1:032x}", "--db", "traces.db"]) == 0
    assert "GET /" in capsys.readouterr().out
    assert main(["resume", f"{1:032x}", "--db", "traces.db"]) == 3
    assert "is a trace from elsewhere" in capsys.readouterr().err
