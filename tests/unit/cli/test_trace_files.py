"""``tailrace trace import`` and ``export``."""

from __future__ import annotations

import gzip
import io
import json
import os
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tailrace import Flow, task
from tailrace.cli import import_parts
from tailrace.cli.listing import short_id
from tailrace.cli.main import main
from tailrace.model.ids import RunId, SpanId
from tailrace.model.span import Span, SpanLink
from tailrace.model.states import SpanType
from tailrace.tracing.otlp import encode_export
from tailrace.tracing.otlp.write_proto import encode_proto

TRACE = "0123456789abcdef" * 2


def a_trace(trace_id: str = TRACE, spans: int = 3) -> list[Span]:
    return [
        Span(
            trace_id=RunId(trace_id),
            span_id=SpanId(f"{number:016x}"),
            parent_id=None if number == 1 else SpanId(f"{1:016x}"),
            name=f"op {number}",
            type=SpanType.FOREIGN,
            start_ns=1_700_000_000_000_000_000 + number,
            end_ns=1_700_000_000_000_100_000 + number,
            attributes={"n": number},
            links=[SpanLink(trace_id=RunId("9" * 32), span_id=SpanId("8" * 16), trace_state="a=1")],
            resource={"service.name": "shop"},
        )
        for number in range(1, spans + 1)
    ]


@pytest.fixture(autouse=True)
def _folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def output(capfd: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    capfd.readouterr()
    assert main(["trace", *arguments]) == code
    return capfd.readouterr().out


def exported(capfd: pytest.CaptureFixture[str], *arguments: str) -> Any:
    return json.loads(output(capfd, "export", *arguments))


def test_an_export_goes_into_a_pipe_and_does_not_take_its_place(
    capfd: pytest.CaptureFixture[str],
) -> None:
    Path("in.json").write_bytes(encode_export(a_trace()))
    output(capfd, "import", "in.json")
    os.mkfifo("pipe")
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(Path("pipe").read_bytes)
        output(capfd, "export", TRACE, "--output", "pipe")
        assert json.loads(read.result())["resourceSpans"]
    assert Path("pipe").is_fifo()
    Path("link.json").symlink_to("in.json")
    output(capfd, "export", TRACE, "--output", "link.json")
    assert Path("link.json").is_symlink()


def test_an_id_of_64_bits_is_found_without_its_zeros(capfd: pytest.CaptureFixture[str]) -> None:
    short = "a1" * 8
    Path("in.json").write_bytes(encode_export(a_trace(short.zfill(32))))
    output(capfd, "import", "in.json")
    assert "3 spans" in output(capfd, "show", short)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no such device")
def test_a_full_disk_under_the_output_is_told_as_that(capfd: pytest.CaptureFixture[str]) -> None:
    Path("in.json").write_bytes(encode_export(a_trace()))
    output(capfd, "import", "in.json")
    assert main(["trace", "export", TRACE, "--output", "/dev/full"]) == 1
    assert "error[TR001]: the output cannot be written: No space" in capfd.readouterr().err


def test_a_file_comes_in_and_the_same_goes_out(capfd: pytest.CaptureFixture[str]) -> None:
    Path("in.json").write_bytes(encode_export(a_trace()))
    (one,) = json.loads(output(capfd, "import", "in.json", "--json"))
    assert (one["spans"], one["traces"], one["broken"], one["format"]) == (3, 1, 0, "otlp-json")
    assert exported(capfd, TRACE) == json.loads(Path("in.json").read_bytes())
    (again,) = json.loads(output(capfd, "import", "in.json", "--json"))
    assert (again["spans"], again["repeated"]) == (0, 3)


def test_where_only_traces_from_elsewhere_are_the_newest_is_named(
    capfd: pytest.CaptureFixture[str],
) -> None:
    Path("in.json").write_bytes(encode_export(a_trace()))
    output(capfd, "import", "in.json")
    for arguments in (["show"], ["show", "@last-failed"], ["export", "@last"]):
        assert main(["trace", *arguments]) == 3
        said = capfd.readouterr().err
        assert f"only, the newest of which is {TRACE} of 'shop'" in said
        assert f"tailrace trace show {TRACE}" in said


def test_traces_that_a_query_finds_go_out(capfd: pytest.CaptureFixture[str]) -> None:
    ids = [digit * 32 for digit in "abc"]
    Path("in.json").write_bytes(
        b"\n".join(encode_export(a_trace(one, spans=n)) for n, one in enumerate(ids, 1))
    )
    output(capfd, "import", "in.json")
    lines = output(capfd, "export", "--traceql", "{ span.n = 2 }").splitlines()
    assert {ids_of(line) for line in lines} == {ids[1], ids[2]}
    assert all(b'"op 1"' in line.encode() for line in lines)  # traces go out whole
    assert len(output(capfd, "export", "--flow", "shop").splitlines()) == 3
    assert output(capfd, "export", "--since", "1h") == ""

    main(["trace", "export", "--until", "1h", "--limit", "2", "--output", "two.json"])
    err = capfd.readouterr().err
    assert "the newest 2 traces; --limit writes more" in err
    assert "2 traces written to two.json" in err
    assert len(Path("two.json").read_bytes().splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "which traces?"),
        (("@last", "--since", "1h"), "not both"),
        (("--traceql", "{ status = "), "TR2"),
        (("--traceql", "({} | rate()) + ({} | rate())"), "TR209"),
    ],
)
def test_an_export_says_which_traces_it_means(
    capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], told: str
) -> None:
    Path("in.json").write_bytes(encode_export(a_trace()))
    output(capfd, "import", "in.json")
    assert main(["trace", "export", *arguments, "--output", "out.json"]) == 2
    assert told in capfd.readouterr().err
    assert not Path("out.json").exists()


def ids_of(line: str) -> str:
    (group,) = json.loads(line)["resourceSpans"]
    return str(group["scopeSpans"][0]["spans"][0]["traceId"])


def test_the_short_form_of_an_id_that_begins_with_zeros_is_all_of_it() -> None:
    assert short_id("019aa0c4" * 4) == "019aa0c4019a"
    assert short_id("0" * 16 + "019aa0c4" * 2) == "0" * 16 + "019aa0c4" * 2


def test_protobuf_and_gzip_are_known_by_their_first_bytes(
    capfd: pytest.CaptureFixture[str],
) -> None:
    Path("a.pb").write_bytes(encode_proto(a_trace("a" * 32)))
    Path("b.json.gz").write_bytes(gzip.compress(encode_export(a_trace("b" * 32))))
    found = json.loads(output(capfd, "import", "a.pb", "b.json.gz", "--json"))
    assert [one["format"] for one in found] == ["otlp-proto", "otlp-json"]
    assert len(output(capfd, "export", "a" * 32, "b" * 8).splitlines()) == 2


def test_standard_input_is_a_file(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = io.BytesIO(encode_export(a_trace()))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=body))
    assert "3 in 1 trace" in output(capfd, "import", "-")


def test_what_cannot_be_read_is_told_with_file_and_line(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    good = encode_export(a_trace())
    no_id = good.replace(TRACE.encode(), b"0" * 32)
    Path("in.json").write_bytes(good + b"\n{broken\n" + no_id)
    assert main(["trace", "import", "in.json", "--fail-if"]) == 1
    out, err = capfd.readouterr()
    assert "in.json, line 2: it is no JSON" in err
    assert "refused" in out
    assert "the trace id is not 32 hex digits" in out
    assert "(first in line 3)" in out
    assert "3 in 1 trace" in out


def test_a_large_file_is_taken_in_by_parts_as_by_one_process(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = [encode_export(a_trace(f"{n + 1:032x}")).replace(b"\n", b"") for n in range(12)]
    bodies[3], bodies[9] = b"{", b'{"resourceSpans": 3}'
    bodies[10] = bodies[10].replace(f"{11:032x}".encode(), b"no id")
    Path("many.json").write_bytes(b"\n".join([*bodies, bodies[0]]))
    whole = json.loads(output(capfd, "import", "many.json", "--db", "one.db", "--format", "json"))
    monkeypatch.setattr(import_parts, "_LEAST", 1_000)
    monkeypatch.setattr(import_parts, "_cores", lambda: 3)
    assert len(import_parts.parts_of(Path("many.json"), Path("two.db"))) == 3
    parted = json.loads(output(capfd, "import", "many.json", "--db", "two.db", "--format", "json"))
    assert parted == whole
    (one,) = parted
    assert (one["spans"], one["traces"], one["repeated"], one["broken"]) == (27, 9, 3, 2)
    assert [problem["line"] for problem in one["problems"]] == [4, 10]
    assert [*one["refused_first"].values()] == [11]


def test_only_large_files_of_lines_are_parted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_parts, "_LEAST", 300)
    monkeypatch.setattr(import_parts, "_cores", lambda: 3)
    body = encode_export(a_trace())
    for name, content in {
        "document": json.dumps(json.loads(body), indent=1).encode() * 2,
        "zipped": gzip.compress(body * 50),
        "small": body[:200],
    }.items():
        Path(name).write_bytes(content)
        assert import_parts.parts_of(Path(name), Path("runs.db")) == []


def test_a_file_that_is_not_there_is_an_error_with_a_code(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main(["trace", "import", "nowhere.json"]) == 5
    err = capfd.readouterr().err
    assert "TR530" in err
    assert "nowhere.json" in err


def test_the_database_of_the_older_tool_is_imported(capfd: pytest.CaptureFixture[str]) -> None:
    db = sqlite3.connect("older.db")
    db.execute(
        """CREATE TABLE spans (span_id TEXT, trace_id TEXT, parent_span_id TEXT, service_name TEXT,
        kind TEXT, name TEXT, attributes TEXT, status TEXT, error TEXT, start_time TEXT,
        end_time TEXT, policy_snapshot TEXT, timeout INTEGER)"""
    )
    row = ("s1", "t1", None, "shop", "node", "load", "{'n': 1}", "OK", None)
    times = ("2025-11-01T10:00:00", "2025-11-01T10:00:01", None, 0)
    marks = ", ".join("?" * 13)
    db.execute(f"INSERT INTO spans VALUES ({marks})", (*row, *times))  # noqa: S608 - marks alone
    db.commit()
    db.close()
    (one,) = json.loads(output(capfd, "import", "older.db", "--json"))
    assert (one["format"], one["spans"]) == ("older", 1)


@task
def one() -> int:
    print("said")
    return 1


def test_a_run_goes_out_in_every_format(capfd: pytest.CaptureFixture[str]) -> None:
    run_id = Flow("shop", one).run().run_id
    (group,) = exported(capfd, "@last")["resourceSpans"]
    (scoped,) = group["scopeSpans"]
    assert group["resource"]["attributes"] == [
        {"key": "service.name", "value": {"stringValue": "shop"}}
    ]
    assert scoped["scope"]["name"] == "tailrace"
    assert {span["traceId"] for span in scoped["spans"]} == {run_id}
    assert [span["name"] for span in scoped["spans"]] == ["run shop", "node one", "attempt one"]
    chrome = exported(capfd, run_id[:12], "--format", "chrome")
    assert {event["cat"] for event in chrome["traceEvents"] if event["ph"] == "X"} == {
        "run",
        "node",
        "attempt",
    }
    jaeger = exported(capfd, "@last", "--format", "jaeger")
    assert jaeger["data"][0]["processes"]["p1"]["serviceName"] == "shop"


def test_a_run_moves_to_another_store_and_back_out_unchanged(
    capfd: pytest.CaptureFixture[str],
) -> None:
    Flow("shop", one).run()
    assert main(["trace", "export", "@last", "--format", "otlp-proto", "--output", "run.pb"]) == 0
    assert main(["trace", "import", "run.pb", "--db", "other.db"]) == 0
    here, there = exported(capfd, "@last"), exported(capfd, run_prefix(capfd), "--db", "other.db")
    assert spans_of(there) == spans_of(here)


def run_prefix(capfd: pytest.CaptureFixture[str]) -> str:
    (run,) = json.loads(output(capfd, "list", "--json"))
    return str(run["run_id"])


def spans_of(export: Any) -> dict[str, Any]:
    """Return spans by id; the store keeps no empty values, and no flags of spans from elsewhere."""
    spans = export["resourceSpans"][0]["scopeSpans"][0]["spans"]
    for span in spans:
        span.pop("flags", None)
        span["attributes"] = {
            pair["key"]: pair["value"] for pair in span["attributes"] if pair["value"]
        }
    return {span["spanId"]: span for span in spans}


def test_an_id_that_nothing_has_is_not_found_and_no_file_is_made(
    capfd: pytest.CaptureFixture[str],
) -> None:
    Flow("shop", one).run()
    assert main(["trace", "export", "ffff", "--output", "x.json"]) == 3
    assert not Path("x.json").exists()
    assert "ffff" in capfd.readouterr().err


def test_protobuf_without_its_package_names_the_extra(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Flow("shop", one).run()
    monkeypatch.setitem(sys.modules, "google.protobuf.json_format", None)
    assert main(["trace", "export", "@last", "--format", "otlp-proto"]) == 4
    err = capfd.readouterr().err
    assert "TR196" in err
    assert "tailrace[otlp]" in err
