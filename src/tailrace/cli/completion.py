"""``tailrace completion``: what a shell needs to complete our commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from tailrace.cli.group import command
from tailrace.cli.session import current_session

_SHELLS = ("bash", "zsh", "fish")


@command(name="completion")
@click.argument("shell", type=click.Choice(_SHELLS))
def print_completion(shell: str) -> int:
    """Print the completion script of a shell.

    \b
      bash  eval "$(tailrace completion bash)"            in ~/.bashrc
      zsh   eval "$(tailrace completion zsh)"             in ~/.zshrc
      fish  tailrace completion fish > ~/.config/fish/completions/tailrace.fish
    """  # noqa: D301 - \b is click's mark for lines to keep
    root = click.get_current_context().find_root().command
    completion = get_completion_class(shell)
    if completion is None:
        raise click.UsageError(f"click knows no completion for {shell!r}")
    script = completion(root, {}, "tailrace", "_TAILRACE_COMPLETE").source()
    current_session().out.lines([script])
    return 0
