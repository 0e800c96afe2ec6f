"""``tailrace schema``: the JSON Schema of ``flow.yaml``."""

from __future__ import annotations

from tailrace.cli.group import command
from tailrace.cli.json_text import pretty
from tailrace.cli.session import current_session


@command(name="schema")
def print_schema() -> int:
    """Print the JSON Schema (draft-07) of flow.yaml, for editors and validators.

    \b
      tailrace schema > flow.schema.json
      # yaml-language-server: $schema=flow.schema.json      (first line of flow.yaml)
    """  # noqa: D301 - \b is click's mark for lines to keep
    from tailrace.flows.schema import json_schema  # noqa: PLC0415 - help needs no schema

    current_session().out.lines([pretty(json_schema())])
    return 0
