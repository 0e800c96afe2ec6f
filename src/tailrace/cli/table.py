"""The table of commands: help, completion, ``describe`` and the docs all come from it.

Nothing of a command is imported before it is used.
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One command. ``name`` is its full path such as ``trace list``; ``target`` its function."""

    name: str
    target: str
    help: str
    section: str = ""
    hidden: bool = False
    """True for older or second names of a command."""


class GroupEntry(NamedTuple):
    """A group of commands."""

    name: str
    help: str
    section: str
    hidden: bool = False


SECTIONS = ("Run", "Write", "Inspect", "Help")

GROUPS = (
    GroupEntry("flow", "Views and other spellings of a flow.", "Write"),
    GroupEntry("policy", "Check a flow's policies and where each value comes from.", "Write"),
    GroupEntry("tasks", "The tasks a flow can use.", "Write"),
    GroupEntry("plugins", "Installed plug-ins and their state.", "Write"),
    GroupEntry("trace", "Runs and what happened in them.", "Inspect"),
    GroupEntry("lens", "Older names of the trace commands.", "Inspect"),
    GroupEntry("db", "The database that holds the traces.", "Inspect"),
    GroupEntry("config", "Settings and where each comes from.", "Help"),
)

COMMANDS = (
    Entry("run", "run:run_flow", "Run a flow and show what happens.", "Run"),
    Entry("init", "init:write_first_flow", "Write a first flow to start from.", "Write"),
    Entry(
        "check", "check:check_flows", "Find what is wrong with a flow without running it.", "Write"
    ),
    Entry("schema", "schema:print_schema", "Print the JSON Schema of flow.yaml.", "Write"),
    Entry("flow show", "flow:show", "Show a flow as tree, Mermaid, DOT or JSON."),
    Entry("flow convert", "flow:convert", "Write a flow in another spelling."),
    Entry("flow check", "check:check_flows", "Find what is wrong with a flow.", hidden=True),
    Entry("flow schema", "schema:print_schema", "Print the JSON Schema of flow.yaml.", hidden=True),
    Entry("flow init", "init:write_first_flow", "Write a first flow to start from.", hidden=True),
    Entry("policy lint", "policy:lint", "Find what is wrong with a flow's policies."),
    Entry("policy explain", "policy:explain", "Show a node's policy and each value's origin."),
    Entry("tasks list", "tasks:list_tasks", "List the tasks of plug-ins, or of a flow."),
    Entry("tasks show", "tasks:show", "Show a task's parameters, types and documentation."),
    Entry("plugins list", "plugins:list_plugins", "List plug-ins and the tasks they bring."),
    Entry("plugins lint", "plugins:lint", "Find plug-ins that do not work."),
    Entry("trace list", "trace:list_runs", "List runs, newest first."),
    Entry("trace show", "trace:show", "Show the spans of one run."),
    Entry("lens list", "trace:list_runs", "List runs, newest first."),
    Entry("lens show", "trace:show", "Show the spans of one run."),
    Entry("lens trace", "lens:trace", "Show a run as a tree."),
    Entry("lens spans", "lens:spans", "List the spans of one run as a table."),
    Entry("db stats", "db:stats", "Show what the database holds and its size."),
    Entry("db check", "db:check", "Verify the database's integrity."),
    Entry("explain", "explain:explain_code", "Explain an error code.", "Help"),
    Entry("config show", "config:show", "Show every setting and its origin."),
    Entry("describe", "describe:describe_commands", "Describe every command for programs.", "Help"),
    Entry(
        "completion", "completion:print_completion", "Print a shell's completion script.", "Help"
    ),
    Entry("version", "version:show_version", "Show the version.", "Help"),
    Entry("list-tasks", "tasks:list_tasks", "List tasks.", hidden=True),
)
