"""``tailrace flow``: views and other spellings of a flow."""

from __future__ import annotations

from pathlib import Path

import click

from tailrace.cli.group import command
from tailrace.cli.load_flow import load_flow
from tailrace.cli.options import format_option
from tailrace.cli.session import current_session


@command()
@click.argument("target", metavar="FLOW")
@format_option("tree", "mermaid", "dot", "json")
def show(target: str, output: str) -> int:
    """Show a flow as a tree, a diagram, or data.

    \b
      tailrace flow show flow.yaml
      tailrace flow show flow.yaml --format mermaid >> README.md
    """  # noqa: D301 - \b is click's mark for lines to keep
    from tailrace.flows import views  # noqa: PLC0415 - help needs no views

    terminal = current_session().out
    flow = load_flow(target)
    match output:
        case "mermaid":
            text = views.mermaid(flow)
        case "dot":
            text = views.dot(flow)
        case "json":
            text = views.json_text(flow)
        case _:
            text = views.tree(flow, ascii_only=not terminal.unicode)
    terminal.lines(text.splitlines())
    return 0


@command()
@click.argument("target", metavar="FLOW")
@click.option(
    "--to",
    "spelling",
    type=click.Choice(["graph", "edges", "python"]),
    default="graph",
    show_default=True,
    help="graph: text in flow.yaml; edges: an edge list in flow.yaml; python: operators.",
)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write it here.")
def convert(target: str, spelling: str, output: Path | None) -> int:
    """Write a flow in another spelling; it keeps its definition hash.

    \b
      tailrace flow convert flow.yaml --to python > flow.py
      tailrace flow convert flow.py --to graph --output flow.yaml
    """  # noqa: D301 - \b is click's mark for lines to keep
    from tailrace.flows.python_write import to_python  # noqa: PLC0415 - help needs no writers
    from tailrace.flows.yaml_write import to_yaml  # noqa: PLC0415 - likewise

    flow = load_flow(target)
    text = to_python(flow) if spelling == "python" else to_yaml(flow, form=spelling)
    if output is None:
        current_session().out.lines(text.splitlines())
        return 0
    if output.exists():
        raise click.UsageError(f"{output} is already there, and nothing is overwritten")
    output.write_text(text, "utf-8")
    return 0
