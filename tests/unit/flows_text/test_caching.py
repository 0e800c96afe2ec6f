"""``cache`` and ``expires`` in each spelling of a task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tailrace import task
from tailrace.errors import DefinitionError
from tailrace.flows.hash import definition_hash
from tailrace.flows.loaded import LoadedFlow
from tailrace.flows.python_write import to_python
from tailrace.flows.schema import json_schema
from tailrace.flows.yaml_write import to_yaml
from tailrace.model import TaskNode

Read = Callable[[str], LoadedFlow]

FLOW = """
version: 1
tasks:
  fetch:
    callable: flows_text_tasks:fetch
{lines}
flow:
  graph: fetch
"""


def loaded(read: Read, *lines: str) -> LoadedFlow:
    return read(FLOW.format(lines="\n".join(f"    {line}" for line in lines)))


def spec(found: LoadedFlow) -> Any:
    assert found.flow is not None, found.findings
    assert isinstance(found.flow.root, TaskNode)
    return found.flow.root.task


def test_a_decorated_task_says_how_long_its_results_are_reused() -> None:
    def body() -> int:
        return 1

    made = task(body, cache="inputs", expires="24h").spec
    assert (made.cache, made.expires) == ("inputs", 86_400.0)
    assert (task(body).spec.cache, task(body).spec.expires) == ("none", 0.0)
    assert task(body, cache="inputs", expires=90).spec.expires == 90.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"cache": "input"}, "cache is 'input'; allowed: inputs, none; did you mean 'inputs'"),
        ({"cache": "inputs", "expires": "soon"}, "expires: 'soon' is no duration"),
        ({"cache": "inputs", "expires": -1}, "expires: it is negative"),
        ({"expires": "1h"}, "expires is given for a task that is not cached"),
        ({"cache": "inputs", "checkpoint": "none"}, "there is nothing to reuse"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        task(**arguments)
    assert words in str(caught.value)
    assert caught.value.code == "TR314"


def test_a_flow_file_says_the_same(read: Read) -> None:
    found = spec(loaded(read, "cache: inputs", "expires: 1.5m"))
    assert (found.cache, found.expires) == ("inputs", 90.0)
    assert spec(loaded(read, "cache: none")).cache == "none"


@pytest.mark.parametrize(
    ("lines", "code", "words"),
    [
        (["cache: always"], "TR117", "tasks.fetch.cache is 'always' (allowed: inputs, none)"),
        (["cache: inputs", "expires: [1]"], "TR107", "tasks.fetch.expires is a list"),
        (["cache: inputs", "expires: soon"], "TR314", "expires: 'soon' is no duration"),
        (["expires: 1h"], "TR314", "not cached"),
        (["cache: inputs", "checkpoint: none"], "TR314", "nothing to reuse"),
    ],
)
def test_what_is_wrong_in_a_flow_file_is_found_at_its_place(
    read: Read, lines: list[str], code: str, words: str
) -> None:
    (finding,) = loaded(read, *lines).findings
    assert finding.code == code
    assert words in finding.message
    assert finding.where is not None
    assert finding.where.line in {6, 7}


def test_both_are_written_and_read_back(read: Read) -> None:
    flow = loaded(read, "cache: inputs", "expires: 36h").flow
    assert flow is not None
    again = read(to_yaml(flow)).flow
    assert again is not None
    assert "    cache: inputs\n    expires: 36h\n" in to_yaml(flow)
    assert 'cache="inputs", expires="36h"' in to_python(flow)
    assert definition_hash(again) == definition_hash(flow)


def test_a_task_without_cache_keeps_the_hash_that_it_had(read: Read) -> None:
    plain, off = loaded(read).flow, loaded(read, "cache: none").flow
    cached, longer = (
        loaded(read, "cache: inputs", f"expires: {time}").flow for time in ("1h", "2h")
    )
    assert plain
    assert off
    assert cached
    assert longer
    assert definition_hash(plain) == definition_hash(off)
    assert len({definition_hash(one) for one in (plain, cached, longer)}) == 3


def test_the_schema_knows_both() -> None:
    known = json_schema()["definitions"]["task"]["properties"]
    assert known["cache"]["enum"] == ["inputs", "none"]
    assert "duration" in str(known["expires"])
