"""``tailrace replay``: a finished run looked at again; no task runs unless that is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tailrace.cli.group import command
from tailrace.cli.options import db_option, format_option
from tailrace.cli.refusal import Refusal
from tailrace.cli.session import current_session, finish

if TYPE_CHECKING:
    from tailrace.runtime.replay import Replay, ReplayedNode, Trial


@command()
@click.argument("run_id", metavar="[RUN]", default="@last")
@click.option("--until", metavar="NODE", help="Come no further than this node.")
@click.option("--node", metavar="NODE", help="Show this node alone.")
@click.option("--run", "really", is_flag=True, help="Really run the code of --node, and compare.")
@click.option("--break", "stop", metavar="NODE", help="Open a Python prompt with its inputs.")
@click.option("--all", "everything", is_flag=True, help="Show every iteration of loops.")
@db_option
@format_option("text", "json", "jsonl")
def replay_run(
    run_id: str,
    *,
    until: str | None,
    node: str | None,
    really: bool,
    stop: str | None,
    everything: bool,
    db: Path | None,
    output: str,
) -> int:
    """Show what went into each node of a run and what came out, without running it.

    RUN is a run id, the beginning of one, @last (the default) or @last-failed. NODE is a path with
    the indices of the loops around it, such as each[3].load. Exit code 1: --run gave something
    else than was recorded.

    \b
      tailrace replay                               the last run, node by node
      tailrace replay @last-failed --break clean    a prompt with the inputs of clean
      tailrace replay 019aa0c4 --node 'each[3].load' --run    its code of now, compared
    """  # noqa: D301 - \b is click's mark for lines to keep
    _demand(until=until, node=node, stop=stop, really=really)
    from tailrace.cli.replay_text import nodes_to_json, show_nodes, show_run  # noqa: PLC0415 - help needs no runtime
    from tailrace.runtime.replay import Replay  # noqa: PLC0415 - likewise

    replay = Replay(db)
    if stop is not None:
        return _open_prompt(replay, run_id, stop)
    if node is not None:
        found = replay.until(run_id, node)
        if really:
            return _run(found.nodes[-1], output)
        replayed, shown = found, found.nodes[-1:]
    else:
        replayed = replay.run(run_id) if until is None else replay.until(run_id, until)
        shown = replayed.nodes
    terminal = current_session().out
    if output != "text":
        terminal.lines(nodes_to_json(shown, output))
    elif node is not None:
        terminal.lines(show_nodes(shown, terminal, fold=False))
    else:
        is_whole = until is None
        terminal.lines(show_run(replayed, terminal, fold=not everything, is_whole=is_whole))
    return 0


def _demand(*, until: str | None, node: str | None, stop: str | None, really: bool) -> None:
    if sum(one is not None for one in (until, node, stop)) > 1:
        raise click.UsageError("give one of --until, --node and --break")
    if really and node is None:
        raise click.UsageError("--run needs --node: it runs the code of one node")


def _run(node: ReplayedNode, output: str) -> int:
    """Run the code of a node; what it prints goes to standard error."""
    import sys  # noqa: PLC0415 - only where a task runs
    from contextlib import redirect_stdout  # noqa: PLC0415 - likewise

    from tailrace.cli.replay_text import node_to_dict, show_nodes, show_trial, trial_to_json  # noqa: PLC0415 - likewise
    from tailrace.runtime.replay import InputsMissing, Verdict, run_again  # noqa: PLC0415 - likewise

    session = current_session()
    warning = session.err.style("warning", "bold yellow")
    session.err.lines([f"{warning}: {node.path} really runs, with all that it does outside"])
    head = list(show_nodes((node,), session.out, fold=False))  # a task may change its inputs
    as_it_was = node_to_dict(node)
    try:
        with redirect_stdout(sys.stderr):
            trial: Trial = run_again(node)
    except InputsMissing as error:
        raise Refusal(error.message, code=error.code, hint=error.hint) from error
    is_off = trial.verdict is Verdict.DIFFERENT or (
        trial.verdict is Verdict.UNKNOWN and trial.failure is not None
    )
    code = finish(1 if is_off else 0)
    if output == "text":
        session.out.lines(show_trial(head, trial, session.out))
    else:
        session.out.lines(trial_to_json(as_it_was, trial, output))
    return code


def _open_prompt(replay: Replay, run_id: str, path: str) -> int:
    from tailrace.cli.prompt import banner_of, names_of, open_prompt  # noqa: PLC0415 - only here

    node = replay.node(run_id, path)
    open_prompt(names_of(node), banner_of(node, current_session().err))
    return 0
