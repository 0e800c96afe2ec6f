import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tailrace.flows.findings import Findings
from tailrace.flows.passage import SourceFile
from tailrace.flows.schema import json_schema
from tailrace.flows.yaml_file import FLOW_KEYS, RUNTIME_KEYS, TOP_KEYS
from tailrace.flows.yaml_tasks import KEYS
from tailrace.flows.yaml_text import plain, read_yaml
from tailrace.policy.fields import SECTIONS, WORDS

SCHEMA = json_schema()
TYPES: dict[str, Any] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "null": type(None),
    "integer": int, "number": int | float,
}  # fmt: skip


def is_of(value: Any, name: str) -> bool:
    return isinstance(value, TYPES[name]) and not (
        isinstance(value, bool) and name in {"integer", "number"}
    )


def load(text: str) -> Any:
    """Read YAML as flow files are read."""
    tree = read_yaml(SourceFile("f", text), Findings())
    assert tree is not None
    return plain(tree)


def validate(value: Any, schema: dict[str, Any]) -> bool:
    """Tell whether a value is valid, for the words of draft-07 that the schema uses."""
    if "$ref" in schema:
        return validate(value, SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]])
    names = schema.get("type", [])
    names = [names] if isinstance(names, str) else names
    checks = [
        not names or any(is_of(value, one) for one in names),
        "enum" not in schema or value in schema["enum"],
        all(validate(value, one) for one in schema.get("allOf", [])),
        "anyOf" not in schema or any(validate(value, one) for one in schema["anyOf"]),
        "oneOf" not in schema or sum(validate(value, one) for one in schema["oneOf"]) == 1,
        "not" not in schema or not validate(value, schema["not"]),
    ]  # fmt: skip
    if isinstance(value, dict):
        known = schema.get("properties", {})
        more = schema.get("additionalProperties", True)
        checks.append(all(key in value for key in schema.get("required", [])))
        for key, member in value.items():
            if key in known:
                checks.append(validate(member, known[key]))
            else:
                checks.append(more if isinstance(more, bool) else validate(member, more))
    if isinstance(value, list):
        checks += [validate(member, schema["items"]) for member in value if "items" in schema]
        checks.append(len(value) >= schema.get("minItems", 0))
    if isinstance(value, str):
        checks.append(re.search(schema.get("pattern", ""), value) is not None)
        checks.append(len(value) >= schema.get("minLength", 0))
    if is_of(value, "number"):
        checks.append(schema.get("minimum", value) <= value <= schema.get("maximum", value))
    return all(checks)


GOOD = """\
version: 1
name: x
pipes: {p: a >> b}
tasks:
  a: {callable: "m:f", inputs: {x: 1}, outputs: [scratch.x], isolation: process, route: true}
  b: {use: a, policy: {timeout: 5s, retry: {max_attempts: 2, delay: 1, on: [transient]}}}
  c:
    callable: m.n:f.g
    checkpoint: pickle
    policy: {on_error: {action: goto, target: a, rejoin: b}}
flow: {graph: pipe(p), defaults: {n: null}, max_parallel: 2, policy: {fail_fast: false}}
runtime: {expose_env: [A]}
"""


@pytest.mark.parametrize(
    "change",
    [
        ("name: x", "nam: x"),
        ("version: 1", "version: 2"),
        ("graph: pipe(p)", "graf: x"),
        ("graph: pipe(p)", "graph: a, edges: [a]"),
        ("graph: pipe(p)", "graph: ''"),
        ("{use: a,", "{use: a, callable: 'm:f',"),
        ('"m:f"', '"m.f"'),
        ("isolation: process", "isolation: thred"),
        ("timeout: 5s", "timeout: 5x"),
        ("timeout: 5s", "timeout: -1"),
        ("timeout: 5s", "timout: 5s"),
        ("max_attempts: 2", "max_attempts: -2"),
        ("max_attempts: 2", "max_attempts: true"),
        ("[transient]", "[flaky]"),
        ("delay: 1", "factor: 0.5"),
        ("delay: 1", "factor: 1001"),
        ("delay: 1", "jitter: 1.5"),
        ("delay: 1", "give_up_on: [flaky]"),
        ("delay: 1", "budget: ' '"),
        ("delay: 1", "base: 1x"),
        ("delay: 1", "nested: 1"),
        ("action: goto", "action: go"),
        ("max_parallel: 2", "max_parallel: 0"),
        ("expose_env: [A]", "expose_env: A"),
        ("outputs: [scratch.x]", "outputs: scratch.x"),
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(change: tuple[str, str]) -> None:
    assert validate(load(GOOD), SCHEMA)
    assert change[0] in GOOD
    assert not validate(load(GOOD.replace(*change, 1)), SCHEMA)


@pytest.mark.parametrize(
    "given",
    [
        "base: 1s, schedule: fibonacci, retry_on: [network, ConnectionError, a.error]",
        "delay: 1s, mode: linear, jitter: 0.2, give_up_on: [bug], unknown_retries: null",
        "delay: 1s, factor: 3, retry_after_cap: 1h, budget: api, on_budget: delay, breaker: null",
    ],
)
def test_the_schema_accepts_every_field_of_a_retry(given: str) -> None:
    assert validate(load(GOOD.replace("delay: 1, on: [transient]", given)), SCHEMA)


def test_edges_are_allowed_instead_of_a_graph() -> None:
    text = GOOD.replace("graph: pipe(p)", "entry: a, edges: [a >> b]")
    assert validate(load(text), SCHEMA)


EXAMPLES = sorted((Path(__file__).parents[3] / "examples").rglob("flow*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_example_is_valid(path: Path) -> None:
    assert validate(load(path.read_text()), SCHEMA)


def test_the_schema_knows_the_keys_of_the_reader() -> None:
    definitions = SCHEMA["definitions"]
    policy = definitions["policy"]["properties"]
    assert set(SCHEMA["properties"]) == set(TOP_KEYS)
    assert set(definitions["flow"]["properties"]) == set(FLOW_KEYS)
    assert set(definitions["task"]["properties"]) == set(KEYS)
    assert set(SCHEMA["properties"]["runtime"]["properties"]) == set(RUNTIME_KEYS)
    assert set(policy) == set(SECTIONS[""])
    assert set(policy["retry"]["properties"]) == set(WORDS["retry"])
    assert set(policy["on_error"]["properties"]) == set(SECTIONS["on_error"])


def properties(schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        yield from schema.get("properties", {}).items()
        for member in schema.values():
            yield from properties(member)


def test_every_key_has_a_description() -> None:
    for name, schema in properties(SCHEMA):
        resolved = schema
        if "$ref" in schema:
            resolved = SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]]
        if "anyOf" in schema and "description" not in schema:
            resolved = SCHEMA["definitions"]["duration"]
        assert resolved.get("description"), name
