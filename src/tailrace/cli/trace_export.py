"""``tailrace trace export``: traces for other tools."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from tailrace.cli.database import open_reader
from tailrace.cli.group import command
from tailrace.cli.listing import counted, say
from tailrace.cli.options import Store, store_option
from tailrace.cli.output_file import open_bytes
from tailrace.cli.searching import (
    EVERYTHING,
    Wanted,
    checked,
    end,
    limit_for,
    open_search,
    query_text,
    tell_dialect,
    tell_ignored,
    wanted_options,
)
from tailrace.errors import NotFound

if TYPE_CHECKING:
    from tailrace.client.traces import RemoteTraces
    from tailrace.model.ids import RunId
    from tailrace.model.span import Span
    from tailrace.store import SqliteTraceReader

_FORMATS = ("otlp-json", "otlp-proto", "chrome", "jaeger")
_MOST = 500
_SECONDS = 300.0


@command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--traceql", metavar="QUERY", help="The traces that match this query.")
@wanted_options()
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000_000),
    default=_MOST,
    show_default=True,
    help="Traces to write of those that are meant, the newest ones.",
)
@click.option(
    "-o",
    "--format",
    "output",
    type=click.Choice(_FORMATS),
    default=_FORMATS[0],
    show_default=True,
    help="What reads it: any OpenTelemetry tool (otlp), Perfetto (chrome), Jaeger's page.",
)
@click.option(
    "--output", "path", type=click.Path(path_type=Path, dir_okay=False), help="Write it here."
)
@store_option
def export(
    ids: tuple[str, ...],
    *,
    traceql: str | None,
    wanted: Wanted,
    limit: int,
    output: str,
    path: Path | None,
    db: Store,
) -> int:
    """Write traces as other tools read them.

    ID is a run id or the id of any other trace, the beginning of one, @last or @last-failed.
    Without one, the options say which traces are meant. otlp-json is one line per trace; trace
    import reads it back.

    \b
      tailrace trace export @last
      tailrace trace export @last --format chrome --output trace.json
      tailrace trace export 019aa0c4 019aa0c7 --format jaeger --output jaeger.json
      tailrace trace export --traceql '{ status = error }' --since 24h --output failed.json
    """  # noqa: D301 - \b is click's mark for lines to keep
    is_chosen = traceql is not None or wanted != Wanted()
    if ids and is_chosen:
        raise click.UsageError("name traces by their ids, or choose them by options, not both")
    if not ids and not is_chosen:
        raise click.UsageError("which traces? Give ids, such as @last, or --traceql or --since")
    code = 0
    with open_reader(db) as reader:
        if ids:
            found = list(dict.fromkeys(reader.resolve(one) for one in ids))
        else:
            found, code = _chosen(traceql, wanted, limit, db)
        if path is None:
            sys.stdout.flush()
            write_traces(_traces(reader, found, is_chosen=is_chosen), output, sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return code
        with open_bytes(path) as file:
            write_traces(_traces(reader, found, is_chosen=is_chosen), output, file)
    say(f"{counted(len(found), 'trace')} written to {path}")
    return code


def _chosen(traceql: str | None, wanted: Wanted, limit: int, db: Store) -> tuple[list[RunId], int]:
    """Return the ids of the newest traces that are meant, newest first, and the exit code."""
    from tailrace.traceql.budget import Budget  # noqa: PLC0415 - not for --help

    query = checked(EVERYTHING if traceql is None else query_text(traceql))
    most = limit_for(query, limit)
    with open_search(db) as store:
        result = store.search(
            query,
            limit=most,
            spans_per_set=0,
            budget=Budget(seconds=_SECONDS),
            **wanted.options(),
        )
    tell_dialect(query)
    tell_ignored(query)
    code = end(complete=result.complete, reason=result.reason)
    if len(result.traces) == most:
        say(f"the newest {counted(most, 'trace')}; --limit writes more")
    return [trace.trace_id for trace in result.traces], code


def _traces(
    reader: SqliteTraceReader | RemoteTraces, ids: list[RunId], *, is_chosen: bool
) -> Iterator[list[Span]]:
    from tailrace.tracing.otlp.native import with_origin  # noqa: PLC0415 - not for --help

    for trace_id in ids:
        try:
            trace = reader.trace(trace_id)
        except NotFound:
            if is_chosen:  # it was deleted since it was found
                continue
            raise
        yield with_origin(trace)


def write_traces(traces: Iterator[list[Span]], output: str, file: BinaryIO) -> None:
    """Write traces in one of the formats; those of OTLP hold one trace in memory at a time.

    Raises:
        SettingsError: protobuf is asked for, and its package is not installed (TR196).
        OSError: the file cannot be written.
    """
    from tailrace.tracing import otlp  # noqa: PLC0415 - not for --help

    match output:
        case "otlp-json":
            file.writelines(otlp.encode_export(spans) + b"\n" for spans in traces)
        case "otlp-proto":
            from tailrace.tracing.otlp.write_proto import encode_proto  # noqa: PLC0415 - an extra

            # Messages of one kind, one behind the other, are one message.
            file.writelines(encode_proto(spans) for spans in traces)
        case "chrome":
            file.write(otlp.chrome_trace(list(traces)) + b"\n")
        case _:
            file.write(otlp.jaeger_trace(list(traces)) + b"\n")
