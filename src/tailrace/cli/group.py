"""Groups that import a command only when it is called, and the command type they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from tailrace.cli.session import Session
from tailrace.cli.table import COMMANDS, GROUPS, SECTIONS, Entry, GroupEntry

_HELP = {"help_option_names": ["-h", "--help"]}


class TailraceCommand(click.Command):
    """A command with the flags that every command has."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", _HELP)
        super().__init__(*args, **kwargs)
        self.params.extend(_shared_options())


def command(**settings: Any) -> Callable[[Callable[..., int | None]], click.Command]:
    """Return the decorator for a command's function; the function returns its exit code."""

    def decorate(function: Callable[..., int | None]) -> click.Command:
        return click.command(cls=TailraceCommand, **settings)(function)

    return decorate


def _shared_options() -> list[click.Option]:
    return [
        click.Option(
            ["--no-color"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_set_flag("no_color"),
            help="Never colour the output.",
        ),
        click.Option(
            ["--debug"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            envvar="TAILRACE_DEBUG",
            callback=_set_flag("debug"),
            help="Show the traceback of an internal error.",
        ),
    ]


def _set_flag(name: str) -> Callable[[click.Context, click.Parameter, bool], None]:
    def keep(context: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's callback shape
        if value:
            setattr(context.find_root().ensure_object(Session), name, True)

    return keep


class LazyGroup(click.Group):
    """The commands of the table whose names begin with ``prefix``."""

    def __init__(self, prefix: str = "", *, default: str = "", **settings: Any) -> None:
        settings.setdefault("context_settings", _HELP)
        settings.setdefault("callback", _help_alone)
        self._default = default
        super().__init__(name=prefix or "tailrace", invoke_without_command=True, **settings)
        self.params.extend(_shared_options())
        self._members = {_leaf(entry.name): entry for entry in _children(prefix)}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names that help shows, in the order of the table."""
        return [name for name, entry in self._members.items() if not entry.hidden]

    def all_commands(self) -> list[str]:
        """Return every name, older ones included."""
        return list(self._members)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        """Import and return the command, or None when there is none of that name."""
        match self._members.get(cmd_name):
            case GroupEntry() as entry:
                text = f"{entry.help}\n\n{entry.guide}".rstrip()
                return LazyGroup(entry.name, default=entry.default, help=text)
            case Entry() as entry:
                module, _, function = entry.target.partition(":")
                loaded = getattr(import_module(f"tailrace.cli.{module}"), function)
                assert isinstance(loaded, click.Command)  # noqa: S101 - a wrong row of the table
                return loaded
            case _:
                return None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default command before arguments that name none."""
        if self._default and not any(flag in args[:1] for flag in _HELP["help_option_names"]):
            names_one = bool(args) and (args[0] in self._members or not args[0].startswith("-"))
            args = args if names_one else [self._default, *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that ``args`` name; say which name is nearest when there is none."""
        if not args[0].startswith("-") and args[0] not in self._members:
            known = self.list_commands(ctx)
            raise click.UsageError(_no_such(args[0], known, self._members), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the commands by section, from the table alone."""
        for section in (*SECTIONS, ""):
            rows = [
                (name, entry.help)
                for name, entry in self._members.items()
                if not entry.hidden and entry.section == section
            ]
            if rows:
                with formatter.section(section or "Commands"):
                    formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the names that begin so, from the table alone."""
        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        return [
            CompletionItem(name, help=entry.help)
            for name, entry in self._members.items()
            if not entry.hidden and name.startswith(incomplete)
        ]


def _help_alone() -> None:
    """Print the group's help when no command of it was named; below the root that is an error."""
    context = click.get_current_context()
    if context.invoked_subcommand is None:
        below_root = context.parent is not None
        click.echo(context.get_help(), err=below_root)
        context.exit(2 if below_root else 0)


def _leaf(name: str) -> str:
    return name.rpartition(" ")[2]


def _children(prefix: str) -> Iterable[Entry | GroupEntry]:
    rows: list[Entry | GroupEntry] = [*COMMANDS, *GROUPS]
    return [row for row in rows if row.name.rpartition(" ")[0] == prefix]


def _no_such(name: str, known: list[str], members: Iterable[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only where a name is wrong

    near = get_close_matches(name, members, n=1)
    if near:
        return f"no command {name!r}; did you mean {near[0]!r}?"
    return f"no command {name!r} (known: {', '.join(known)})"
