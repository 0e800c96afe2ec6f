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
    section: str = ""
    hidden: bool = False
    default: str = ""
    """The command that runs when none of the group is named; empty: the help is shown."""
    guide: str = ""
    """Further lines of the group's help."""


SECTIONS = ("Run", "Write", "Inspect", "Recover", "Distribute", "Help")

_FAILURES_GUIDE = """\b
  tailrace failures groups          what hurts most this week
  tailrace failures show F-01KA...  one failure: rule, stack, its way, what to do
  tailrace failures candidates      work that a redrive may heal
  tailrace dlq redrive v1:3ac9...   run the work of a group again, finished nodes reused
  tailrace failures groups resolve v1:3ac9...   it is mended; newer code opens it again
  tailrace failures status --since 1h --fail-if   for cron and CI: exit 1 when something failed
"""
_DLQ_GUIDE = """\b
  tailrace dlq list                       groups of dead letters, with advice
  tailrace dlq show v1:3ac9...            the letters of one group
  tailrace dlq redrive v1:3ac9... --dry-run   what would run again
  tailrace dlq redrive DL-01KA...         run one again
  tailrace dlq discard DL-01KA... --reason "order was cancelled"
"""
_EVENTS_GUIDE = """\b
  tailrace events status                  counts by status, category and type
  tailrace events list --status failed    the newest failed events
  tailrace events tail                    events as they come
  tailrace events import event_stream.jsonl   take over the files of the older program
"""

_RUNS_GUIDE = """\b
  tailrace runs list --status failed      the last changed runs that failed
  tailrace runs watch @last               see the newest one to its end
  tailrace runs cancel 4a53d6a6... --wait end one
"""

GROUPS = (
    GroupEntry("runs", "Runs of a server.", "Run", default="list", guide=_RUNS_GUIDE),
    GroupEntry(
        "context", "Servers under a name, saved for this user.", "Distribute", default="list"
    ),
    GroupEntry("admin", "Who may do what.", "Distribute"),
    GroupEntry("admin key", "API keys of the gateway.", default="list"),
    GroupEntry("flow", "Views and other spellings of a flow.", "Write"),
    GroupEntry("policy", "Check a flow's policies and where each value comes from.", "Write"),
    GroupEntry("tasks", "The tasks a flow can use.", "Write"),
    GroupEntry("plugins", "Installed plug-ins and their state.", "Write"),
    GroupEntry("trace", "Runs and what happened in them.", "Inspect"),
    GroupEntry("lens", "Older names of the trace commands.", "Inspect"),
    GroupEntry("db", "The database that holds the traces.", "Inspect"),
    GroupEntry(
        "failures", "What failed, how often, why, and what to do.", "Recover", guide=_FAILURES_GUIDE
    ),
    GroupEntry("failures groups", "Failures of one kind at one place.", default="list"),
    GroupEntry("failures batches", "Redrives of many letters.", default="list"),
    GroupEntry("failures audit", "Who did what to letters and groups.", default="list"),
    GroupEntry("failures dlq", "The same as tailrace dlq.", hidden=True, default="list"),
    GroupEntry(
        "dlq", "Dead letters: work that gave up.", "Recover", default="list", guide=_DLQ_GUIDE
    ),
    GroupEntry("events", "The resilient event stream.", "Recover", guide=_EVENTS_GUIDE),
    GroupEntry("server", "The HTTP gateway of distributed runs.", "Distribute"),
    GroupEntry("worker", "Processes that execute distributed runs.", "Distribute"),
    GroupEntry("config", "Settings and where each comes from.", "Help"),
)

_LETTER_COMMANDS = (
    ("list", "letters:list_letters", "List dead letters by group, most letters first."),
    ("show", "letters:show_letter", "Show one letter, or the letters of a group."),
    ("redrive", "redrive:redrive_letters", "Run the work of dead letters again."),
    ("discard", "letter_changes:discard", "Give up on letters for good."),
    ("park", "letter_changes:park", "Keep letters out of redrives."),
    ("reopen", "letter_changes:reopen", "Open parked or discarded letters again."),
    ("export", "letter_files:export_letters", "Write letters as JSON lines."),
    ("import", "letter_files:import_letters", "Read letters that were exported."),
)
_REPLAY = "Show what went into each node and what came out; run one again."
_STATUS = "Show exact counts of failures, groups and letters."
_FAILED = "List failures, newest first."
_CANDIDATES = "List letters that a redrive may heal, oldest first."
_SHOW = "Show one failure in full."
_REDRIVE = "Run the work of dead letters again."
_PURGE = "Delete old failures and settled letters."
_METRICS = "Show counts as numbers for programs."
_PROMETHEUS = "Show counts as Prometheus reads them."
_REPORT = "Write a report of counts, groups, failures and letters."
_EVENT = "Show one event in full."
_IMPORT = "Take over event files of the older program."
_TRACES_IN = "Take over spans of any OpenTelemetry program."
_TRACE_METRICS = "Show TraceQL metrics as a table or a plot."
_EXPORT = "Write events as the older program reads them."

COMMANDS = (
    Entry("run", "run:run_flow", "Run a flow and show what happens.", "Run"),
    Entry("resume", "resume:resume_run", "Go on with a run that ended early.", "Run"),
    Entry("up", "up:start_all", "Start NATS, gateway and workers on this machine.", "Run"),
    Entry("submit", "submit:submit_flow", "Queue a run with a server.", "Run"),
    Entry("runs list", "runs:list_runs", "List runs, the last changed first."),
    Entry("runs show", "runs:show_run", "Show one run with its tasks."),
    Entry("runs tasks", "runs:show_tasks", "Show the tasks of a run."),
    Entry("runs watch", "runs:watch_run", "Show a run until it is over."),
    Entry("runs cancel", "runs:cancel_runs", "Cancel runs."),
    Entry("server status", "server_status:show_status", "Say which server is meant and how it is."),
    Entry("worker list", "workers:list_workers", "List workers, the last seen first."),
    Entry("worker hide", "workers:hide_workers", "Leave workers out of lists."),
    Entry("worker unhide", "workers:unhide_workers", "Show hidden workers again."),
    Entry("context add", "context:add_context", "Save a server under a name."),
    Entry("context use", "context:use_context", "Make a context the current one."),
    Entry("context list", "context:list_contexts", "List the saved contexts."),
    Entry("context remove", "context:remove_context", "Forget a context."),
    Entry("admin key create", "admin:create_key", "Make an API key."),
    Entry("admin key list", "admin:list_keys", "List API keys."),
    Entry("admin key revoke", "admin:revoke_keys", "Revoke API keys."),
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
    Entry("server up", "server:up", "Start the HTTP gateway."),
    Entry("server migrate", "server:migrate", "Make the streams what the settings say."),
    Entry("trace list", "trace:list_runs", "List runs, newest first."),
    Entry("trace show", "trace:show", "Show the spans of one run."),
    Entry("trace diff", "trace_diff:diff", "Show what differs between two runs."),
    Entry("replay", "replay:replay_run", _REPLAY, "Inspect"),
    Entry("trace search", "trace_search:search_traces", "Find traces with TraceQL."),
    Entry("trace metrics", "trace_metrics:trace_metrics", _TRACE_METRICS),
    Entry("trace summary", "trace_summary:summary", "Report failures, slow nodes and retries."),
    Entry("trace tail", "trace_tail:tail", "Show spans as they end."),
    Entry("trace export", "trace_export:export", "Write traces as other tools read them."),
    Entry("trace import", "trace_import:import_traces", _TRACES_IN),
    Entry("trace check", "trace_check:check_query", "Say whether a TraceQL query is valid."),
    Entry("lens list", "trace:list_runs", "List runs, newest first."),
    Entry("lens show", "trace:show", "Show the spans of one run."),
    Entry("lens trace", "lens:trace", "Show a run as a tree."),
    Entry("lens spans", "lens:spans", "List the spans of one run as a table."),
    Entry("lens stats", "db:stats", "Show what the database holds and its size."),
    Entry("lens replay", "replay:replay_run", _REPLAY, hidden=True),
    Entry("db stats", "db:stats", "Show what the database holds and its size."),
    Entry("db check", "db:check", "Verify the database's integrity."),
    Entry("db prune", "prune:prune", "Delete old runs and traces."),
    Entry("db vacuum", "prune:vacuum", "Give free room back to the disk."),
    Entry("failures status", "failures:status", _STATUS),
    Entry("failures list", "failures:list_failures", _FAILED),
    Entry("failures show", "failures:show_failure", _SHOW),
    Entry("failures groups list", "failure_groups:list_groups", "Show what hurts most."),
    Entry("failures groups show", "failure_groups:show_group", "Show one group."),
    Entry("failures groups resolve", "group_changes:resolve", "Mark groups as mended."),
    Entry("failures groups ignore", "group_changes:ignore", "Hide groups, for a time or for good."),
    Entry("failures groups reopen", "group_changes:reopen", "Open groups again."),
    Entry("failures groups merge", "group_changes:merge", "Count one group as part of another."),
    Entry("failures trail", "failure_trail:trail", "Show the way a failure or a letter went."),
    Entry("failures attempts", "attempts:list_attempts", "List all attempts of a run."),
    Entry("failures classify", "classify:classify_error", "Say how a failure would be classified."),
    Entry("failures candidates", "letters:candidates", _CANDIDATES),
    Entry("failures redrive", "redrive:redrive_letters", _REDRIVE),
    Entry("failures batches list", "batches:list_batches", "List redrive batches, newest first."),
    Entry("failures batches show", "batches:show_batch", "Show one batch, letter by letter."),
    Entry("failures batches pause", "batches:pause", "Stop taking further letters."),
    Entry("failures batches resume", "batches:resume", "Go on with a batch."),
    Entry("failures watch", "watch:watch_failures", "Show failures as they happen."),
    Entry("failures metrics", "failure_metrics:metrics", _METRICS),
    Entry("failures prometheus", "failure_metrics:prometheus", _PROMETHEUS),
    Entry("failures audit list", "audit:list_actions", "List the audit trail, oldest first."),
    Entry("failures audit verify", "audit:verify", "Find a line that was changed or removed."),
    Entry("failures purge", "purge:purge", _PURGE),
    Entry("failures import-resonant", "event_files:import_events", _IMPORT),
    Entry("failures export-resonant", "event_files:export_events", _EXPORT),
    Entry("failures export", "failure_report:write_report", _REPORT),
    Entry("failures failed", "failures:list_failures", _FAILED, hidden=True),
    Entry("failures retry-candidates", "letters:candidates", _CANDIDATES, hidden=True),
    Entry("failures detail", "failures:show_failure", _SHOW, hidden=True),
    Entry("failures retry", "redrive:redrive_letters", _REDRIVE, hidden=True),
    Entry("failures fingerprint", "failure_groups:show_group", "Show one group.", hidden=True),
    *(Entry(f"failures dlq {name}", target, text) for name, target, text in _LETTER_COMMANDS),
    *(Entry(f"dlq {name}", target, text) for name, target, text in _LETTER_COMMANDS),
    Entry("dlq edit", "redrive:redrive_letters", _REDRIVE, hidden=True),
    Entry("dlq purge", "purge:purge", _PURGE, hidden=True),
    Entry("events status", "events:status", "Show exact counts of events."),
    Entry("events list", "events:list_events", "List events, newest first."),
    Entry("events show", "events:show_event", _EVENT),
    Entry("events tail", "events:tail", "Show events as they come."),
    Entry("events emit", "events:emit_event", "Write one event."),
    Entry("events export", "event_files:export_events", _EXPORT),
    Entry("events import", "event_files:import_events", _IMPORT),
    Entry("events failed", "events:failed", "List failed events, newest first.", hidden=True),
    Entry("events dlq", "letters:list_letters", "List dead letters by group.", hidden=True),
    Entry("events retry-candidates", "letters:candidates", _CANDIDATES, hidden=True),
    Entry("events detail", "events:show_event", _EVENT, hidden=True),
    Entry("events retry", "redrive:redrive_letters", _REDRIVE, hidden=True),
    Entry("events purge", "events:purge_events", "Delete old events."),
    Entry("events metrics", "event_metrics:metrics", _METRICS),
    Entry("events prometheus", "event_metrics:prometheus", _PROMETHEUS),
    Entry("worker start", "worker:start_worker", "Take runs from the queue and execute them."),
    Entry("explain", "explain:explain_code", "Explain an error code.", "Help"),
    Entry("config show", "config:show", "Show every setting and its origin."),
    Entry("describe", "describe:describe_commands", "Describe every command for programs.", "Help"),
    Entry(
        "completion", "completion:print_completion", "Print a shell's completion script.", "Help"
    ),
    Entry("version", "version:show_version", "Show the version.", "Help"),
    Entry("list-tasks", "tasks:list_tasks", "List tasks.", hidden=True),
)
