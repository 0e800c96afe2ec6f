"""The entry point: run one command, turn whatever happens into an exit code."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence

import click

from tailrace.cli.group import LazyGroup
from tailrace.cli.session import Session
from tailrace.cli.terminal import tolerate_encoding

INTERRUPTED = 130
_YOUNG = 50_000
"""Objects made between two looks for garbage; the default of 700 looks often while importing."""

_HELP = """Run a flow with one command, and see exactly what happened.

\b
  tailrace init                     write a first flow
  tailrace run flow.yaml            run it
  tailrace trace show @last         look at the run
  tailrace failures groups          what hurts most this week
  tailrace explain TR122            understand an error code

Exit codes: 0 done, 1 the run failed or a check found something, 2 usage or definition is wrong,
3 not found, 4 not allowed or not configured, 5 store unreachable, 6 partly done, 124 timeout,
130 interrupted.
"""


def _print_version(context: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's callback shape
    if value:
        from importlib.metadata import version  # noqa: PLC0415 - not needed by other commands

        click.echo(f"tailrace {version('tailrace')}")
        context.exit()


def root_command() -> LazyGroup:
    """Return the whole command tree; nothing of it is imported yet."""
    root = LazyGroup(help=_HELP)
    root.params.append(
        click.Option(
            ["--version", "-V"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_print_version,
            help="Show the version and exit.",
        )
    )
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code. Never raises for what a user can do.

    Without ``argv`` this is the process's own command line: it may tune the interpreter.
    """
    if argv is not None:
        return _main(argv)
    gc.set_threshold(_YOUNG)
    try:
        return _main(sys.argv[1:])
    finally:
        gc.freeze()  # nothing is gained by a last look through all modules


def _main(argv: Sequence[str]) -> int:
    arguments = list(argv)
    session = Session()
    tolerate_encoding()
    output = sys.stdout
    try:
        code = root_command().main(
            args=arguments, prog_name="tailrace", obj=session, standalone_mode=False
        )
        sys.stdout.flush()
    except BrokenPipeError:
        return _reader_went_away(session)
    except SystemExit:
        if sys.stdout is not output:  # how click answers a broken pipe, with an exit code of 1
            return _reader_went_away(session)
        raise
    except (KeyboardInterrupt, click.Abort) as error:
        return _interrupted(error.__cause__ or error)
    except Exception as error:  # noqa: BLE001 - the boundary of the process
        return _failed(error, arguments, session)
    return int(code or 0)


def _failed(error: Exception, arguments: Sequence[str], session: Session) -> int:
    from tailrace.cli.report_error import report_error  # noqa: PLC0415 - only when one is raised

    try:
        return report_error(error, arguments, session)
    except BrokenPipeError:
        return _reader_went_away(session)


def _interrupted(error: BaseException) -> int:
    why = f": {error}" if isinstance(error, KeyboardInterrupt) and str(error) else ""
    try:
        sys.stdout.flush()
        print(f"interrupted{why}", file=sys.stderr)  # noqa: T201 - the command line's own voice
    except OSError:
        pass  # whoever read the output is gone too
    return INTERRUPTED


def _reader_went_away(session: Session) -> int:
    """Leave quietly; the interpreter's last flush must find a stream that takes everything."""
    sink = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            os.dup2(sink, stream.fileno())
        except (OSError, ValueError):
            continue  # a stream without a descriptor needs no care
    os.close(sink)
    return session.outcome
