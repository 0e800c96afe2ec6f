"""``tailrace trace import``: spans from elsewhere into the store."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct, field

from tailrace.cli.database import database_path
from tailrace.cli.group import command
from tailrace.cli.listing import DATA, FORMATS, counted, show_facts, show_one
from tailrace.cli.options import db_option, format_option
from tailrace.cli.session import current_session, finish
from tailrace.errors import StoreError

if TYPE_CHECKING:
    import io

    from tailrace.cli.import_parts import Part
    from tailrace.store.foreign import ForeignWriter, Intake
    from tailrace.tracing.otlp import Export, FileFormat, ReadReport

_AUTO = "auto"
_KINDS = (_AUTO, "otlp-json", "otlp-proto", "older")
_SHOWN = 10
_STDIN = Path("-")


class Imported(Struct, kw_only=True):
    """What became of one file."""

    file: str
    format: str
    spans: int = 0
    traces: int = 0
    repeated: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    refused_first: dict[str, int] = field(default_factory=dict)
    """The line of the first span of each reason, where there are lines."""
    problems: list[tuple[int, str]] = field(default_factory=list)
    """(line, why it was not read); the first ones. Line 0: the file as a whole, or no line."""
    broken: int = 0
    changed: dict[str, int] = field(default_factory=dict)
    """What was left out of spans, or corrected, by what it was."""

    @property
    def is_whole(self) -> bool:
        """True when nothing of the file was left out."""
        return not self.refused and not self.broken


@command()
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, allow_dash=True),
)
@click.option(
    "--from",
    "kind",
    type=click.Choice(_KINDS),
    default=_AUTO,
    show_default=True,
    help="What the files are; auto looks at their first bytes.",
)
@click.option("--fail-if", is_flag=True, help="Exit 1 when a piece could not be read.")
@db_option
@format_option(*FORMATS)
def import_traces(
    files: tuple[Path, ...], *, kind: str, fail_if: bool, db: Path | None, output: str
) -> int:
    """Take over spans of any OpenTelemetry program, to show and search them here.

    A file is OTLP as JSON or protobuf, one export per line or one document, compressed with gzip
    or not, or the database of the older flow tool. - is standard input. A span that is here
    already is not doubled. What cannot be read is told with its line, the rest is imported.

    \b
      tailrace trace import traces.json
      tailrace trace import collector-*.json.gz --fail-if
      otel-cli … | tailrace trace import -
    """  # noqa: D301 - \b is click's mark for lines to keep
    from tailrace.store.foreign import ForeignWriter  # noqa: PLC0415 - not for --help

    path = database_path(db)
    with closing(ForeignWriter(path)) as writer:
        found = [_import(file, kind, writer) for file in files]
    _seal(path, sum(one.spans for one in found))
    code = finish(1 if fail_if and not all(one.is_whole for one in found) else 0)
    if output in DATA:
        show_one(output, data=lambda: [_to_dict(one) for one in found], text=list)
        return code
    for one in found:
        show_facts(_pairs(one), output, data=dict)
    _tell_problems(found)
    return code


def _import(file: Path, kind: str, writer: ForeignWriter) -> Imported:
    from tailrace.tracing.otlp import FileFormat, ReadReport, guess_format  # noqa: PLC0415 - not for --help

    with _opened(file) as source:
        format_ = guess_format(source) if kind == _AUTO else FileFormat(kind)
        if format_ is FileFormat.OLDER:
            return _older(file, writer)
        report, traces = ReadReport(), set[int]()
        parts = _parts(file, format_, writer)
        if parts:
            from tailrace.cli.import_parts import import_parts  # noqa: PLC0415 - for large files

            try:
                intake, report = import_parts(parts, writer, traces)
            except OSError as error:
                raise _unreadable(file, error) from error
        else:
            intake = writer.load_exports(_exports(source, format_, report, file), report, traces)
    one = _imported(file, format_, intake, report)
    one.traces = min(one.traces, len(traces))  # a trace of several commits counts once
    return one


def _seal(path: Path, spans: int) -> None:
    """Turn what is left of many traces into what searches read fast."""
    from tailrace.store.segments.choice import WORTHWHILE  # noqa: PLC0415 - not for --help
    from tailrace.store.segments.seal import seal  # noqa: PLC0415 - likewise

    if spans >= WORTHWHILE:
        seal(path, everything=True)


def _parts(file: Path, format_: FileFormat, writer: ForeignWriter) -> list[Part]:
    """Return the parts of a file that several processes take in; most are read by one."""
    if file == _STDIN or format_ != "otlp-json":
        return []
    from tailrace.cli.import_parts import parts_of  # noqa: PLC0415 - not for --help

    try:
        return parts_of(file, writer.path)
    except OSError as error:
        raise _unreadable(file, error) from error


def _exports(
    source: io.BufferedReader, format_: FileFormat, report: ReadReport, file: Path
) -> Iterator[Export]:
    from tailrace.tracing.otlp import read_exports  # noqa: PLC0415 - not for --help

    try:
        yield from read_exports(source, format_, report)
    except OSError as error:
        raise _unreadable(file, error) from error


@contextmanager
def _opened(file: Path) -> Iterator[io.BufferedReader]:
    from tailrace.tracing.otlp import unpacked  # noqa: PLC0415 - not for --help

    if file == _STDIN:
        yield unpacked(sys.stdin.buffer)
        return
    try:
        plain = file.open("rb")
        plain.peek(1)
    except OSError as error:
        raise _unreadable(file, error) from error
    with plain:
        yield unpacked(plain)


def _unreadable(file: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{file} cannot be read: {error.strerror or error}",
        code="TR530",
        details={"path": str(file)},
    )


def _older(file: Path, writer: ForeignWriter) -> Imported:
    from tailrace.store.foreign import import_older  # noqa: PLC0415 - only for such files

    if file == _STDIN:
        raise click.UsageError("the database of the older tool is read from a file, not from -")
    found = import_older(file, writer)
    one = _imported(file, "older", found.intake, None)
    one.problems = [(0, example) for example in found.examples]
    return one


def _imported(file: Path, format_: str, intake: Intake, report: ReadReport | None) -> Imported:
    refused = Counter(intake.refused)
    if report is not None:
        refused.update(report.refused)
    changed = {
        "attributes left out": intake.dropped_attributes,
        "events left out": intake.dropped_events,
        "links left out": intake.dropped_links,
        "texts and arrays cut": intake.shortened,
        "spans that ended before they started": intake.backwards,
    }
    return Imported(
        file=str(file),
        format=str(format_),
        spans=intake.spans,
        traces=intake.traces,
        repeated=intake.repeated,
        refused=refused,
        refused_first={} if report is None else report.first,
        problems=[] if report is None else [(one.line, one.reason) for one in report.problems],
        broken=0 if report is None else report.broken,
        changed={what: count for what, count in changed.items() if count},
    )


def _to_dict(one: Imported) -> dict[str, Any]:
    return {
        "file": one.file,
        "format": one.format,
        "spans": one.spans,
        "traces": one.traces,
        "repeated": one.repeated,
        "refused": dict(one.refused),
        "refused_first": one.refused_first,
        "changed": one.changed,
        "broken": one.broken,
        "problems": [{"line": line, "reason": reason} for line, reason in one.problems],
    }


def _pairs(one: Imported) -> list[tuple[str, str]]:
    pairs = [
        ("file", f"{one.file} ({one.format})"),
        ("spans", f"{one.spans:,} in {counted(one.traces, 'trace')}"),
    ]
    if one.repeated:
        pairs.append(("here already", f"{one.repeated:,}"))
    for reason, count in one.refused.most_common():
        line = one.refused_first.get(reason)
        where = "" if line is None else f" ({'' if count == 1 else 'first in '}line {line})"
        pairs.append(("refused", f"{count:,}: {reason}{where}"))
    pairs += [("changed", f"{count:,} {what}") for what, count in one.changed.items()]
    if one.broken:
        pairs.append(("not read", counted(one.broken, "piece")))
    return pairs


def _tell_problems(found: list[Imported]) -> None:
    told = [
        f"{one.file}{f', line {line}' if line else ''}: {reason}"
        for one in found
        for line, reason in one.problems
    ]
    more = max(len(told), sum(one.broken for one in found)) - len(told[:_SHOWN])
    current_session().err.lines(told[:_SHOWN] + ([f"and {more:,} more"] if more > 0 else []))
