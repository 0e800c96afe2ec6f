"""The JSON Schema of ``flow.yaml``, for editors and validators."""

from __future__ import annotations

from typing import Any

from tailrace.flows.caching import MODES as CACHE_MODES
from tailrace.flows.yaml_tasks import CHECKPOINTS
from tailrace.model import Isolation, ScratchMerge
from tailrace.model.policy import SYNONYMS
from tailrace.policy.fields import ACTIONS, JITTERS, MODES, MOST_FACTOR, ON_BUDGET
from tailrace.policy.kinds import CATEGORIES, CLASSES

_Schema = dict[str, Any]


def json_schema() -> _Schema:
    """Return the schema, draft-07, with a description of every key."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Tailrace flow",
        **_mapping(
            "A flow: its tasks, and how they follow one another.",
            {
                "version": {"description": "Version of this format.", "enum": [1, "1"]},
                "name": _text("Name of the flow; without it the name of the file."),
                "pipes": _named(
                    "Pieces of graph text, put in with pipe(name).", _text("Graph text.")
                ),
                "tasks": _named("The tasks by name.", {"$ref": "#/definitions/task"}),
                "flow": {"$ref": "#/definitions/flow"},
                "runtime": _mapping(
                    "What the flow may see of its surroundings.",
                    {"expose_env": _texts("Names of environment variables that tasks may read.")},
                ),
            },
            required=["flow"],
        ),
        "definitions": {
            "task": _task(),
            "flow": _flow(),
            "policy": _policy(),
            "duration": {
                "description": "Seconds as a number, or text with a unit; 0 is off.",
                "anyOf": [
                    {"type": "number", "minimum": 0},
                    {"type": "string", "pattern": r"^\s*(\d+\.?\d*|\.\d+)(ms|s|m|h|d)\s*$"},
                ],
            },
        },
    }


def _task() -> _Schema:
    task = _mapping(
        "A task: a function of a module, or a task of a plug-in.",
        {
            "callable": {
                **_text("The function, as module:function; modules beside the file are found."),
                "pattern": r"^\s*[^:\s]+:[^:\s]+\s*$",
            },
            "use": _text("Public name of a plug-in task, or another task of this file."),
            "inputs": {
                "description": "Values by parameter: literals, $paths or {{ templates }}.",
                "type": ["object", "null"],
            },
            "outputs": _texts("Context paths that also get the result, such as scratch.raw."),
            "policy": {"$ref": "#/definitions/policy"},
            "isolation": _enum(
                "Where the task runs; a process can be killed.",
                [member.value for member in Isolation],
            ),
            "checkpoint": _enum("How its result is stored.", list(CHECKPOINTS)),
            "cache": _enum(
                "inputs: a result recorded for the same code and inputs is reused.",
                list(CACHE_MODES),
            ),
            "expires": {
                "description": "How long such a result is reused; 0 is for as long as it is kept.",
                "allOf": [{"$ref": "#/definitions/duration"}],
            },
            "route": {
                "description": "True when the result names the nodes to go on with.",
                "type": "boolean",
            },
            "description": _text("What the task does."),
        },
    )
    task["not"] = {"required": ["callable", "use"]}
    return task


def _flow() -> _Schema:
    flow = _mapping(
        "How the tasks follow one another: graph text, or edges.",
        {
            "graph": _text(
                "a >> b one after the other, (a & b) side by side, (a | b) the first success, "
                "name: task, pipe(…), switch(on=…){…}, foreach(over=…){…}, repeat(count=…){…}, "
                "until(cond=…){…}."
            ),
            "entry": {
                "description": "Where a flow written as edges starts.",
                "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
            },
            "edges": _texts("Chains such as a >> (b & c); the same name is the same node."),
            "defaults": {
                "description": "Values of params that a run need not give.",
                "type": ["object", "null"],
            },
            "policy": {"$ref": "#/definitions/policy"},
            "max_parallel": {
                "description": "Attempts that run at the same time, at most.",
                "type": "integer",
                "minimum": 1,
                "default": 8,
            },
            "scratch_merge": _enum(
                "What a join does with scratch keys that two branches wrote.",
                [member.value for member in ScratchMerge],
            ),
        },
    )
    flow["oneOf"] = [
        {"required": ["graph"], "not": {"anyOf": [{"required": ["edges"]}, _required("entry")]}},
        {"not": _required("graph"), "anyOf": [_required("edges"), _required("entry")]},
    ]
    return flow


def _policy() -> _Schema:
    duration = {"$ref": "#/definitions/duration"}
    bound = {"anyOf": [duration, {"type": "null"}]}
    return _mapping(
        "How failure is met.",
        {
            "fail_fast": {
                "description": "True: the first unhandled failure cancels all that still runs.",
                "type": "boolean",
            },
            "timeout": duration,
            "total_timeout": duration,
            "retry": _mapping(
                "How often and how patiently a task is tried again.", _retry(duration, bound)
            ),
            "on_error": _mapping(
                "What happens when a node has failed for good.",
                {
                    "action": _enum("What to do.", list(ACTIONS)),
                    "target": _text("The node that runs instead (goto, fallback)."),
                    "value": {"description": "What the flow goes on with (continue)."},
                    "rejoin": _text("The node where the flow goes on after the target (goto)."),
                },
            ),
        },
    )


def _retry(duration: _Schema, bound: _Schema) -> _Schema:
    fields = {
        "max_attempts": {
            "description": "Tries after the first one; 0 is off.",
            "type": "integer",
            "minimum": 0,
        },
        "delay": duration,
        "mode": _enum("How the delay grows.", list(MODES)),
        "factor": {
            "description": "Growth of mode exponential from one delay to the next.",
            "type": "number",
            "minimum": 1,
            "maximum": MOST_FACTOR,
            "default": 2,
        },
        "max_delay": bound,
        "jitter": {
            "description": "How the delay varies; a number is a share of it, up and down.",
            "anyOf": [{"enum": list(JITTERS)}, {"type": "number", "minimum": 0, "maximum": 1}],
        },
        "on": _kinds("Failures that are tried again; null is all of them."),
        "give_up_on": _kinds("Failures that are final at once."),
        "unknown_retries": {
            "description": "Tries after the first of failures of which nothing is known.",
            "type": ["integer", "null"],
            "minimum": 0,
        },
        "max_elapsed": bound,
        "respect_retry_after": {
            "description": "True: wait as long as the other side asks, at least.",
            "type": "boolean",
            "default": True,
        },
        "retry_after_cap": bound,
        "budget": _called("A name for what is called; its callers share one budget of retries."),
        "on_budget": _enum("What happens without budget.", list(ON_BUDGET)),
        "breaker": _called("A name for what is called; while it is down, attempts wait."),
        "nested": {
            "description": "True: try again what was retried inside until nothing was left.",
            "type": "boolean",
            "default": False,
        },
    }
    return fields | {word: _synonym(word, fields[name]) for word, name in SYNONYMS.items()}


def _synonym(word: str, field: _Schema) -> _Schema:
    meant = f"Another word for {SYNONYMS[word]}."
    if "$ref" in field:
        return {"description": meant, "allOf": [field]}
    return {**field, "description": meant}


def _kinds(description: str) -> _Schema:
    return {
        "description": f"{description} Categories, classes, or names of exception types.",
        "type": ["array", "null"],
        "items": {
            "anyOf": [
                {"enum": [*CATEGORIES, *CLASSES]},
                {"type": "string", "pattern": r"^(?=.*[A-Z.])[^\W\d]\w*(\.[^\W\d]\w*)*$"},
            ]
        },
        "minItems": 1,
    }


def _called(description: str) -> _Schema:
    return {"description": description, "type": ["string", "null"], "pattern": r"\S"}


def _mapping(
    description: str, properties: dict[str, _Schema], *, required: list[str] | None = None
) -> _Schema:
    schema: _Schema = {
        "description": description,
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    if required:
        schema["required"] = required
    return schema


def _named(description: str, value: _Schema) -> _Schema:
    return {
        "description": description,
        "type": ["object", "null"],
        "additionalProperties": value,
    }


def _text(description: str) -> _Schema:
    return {"description": description, "type": "string", "minLength": 1}


def _texts(description: str) -> _Schema:
    return {"description": description, "type": ["array", "null"], "items": {"type": "string"}}


def _enum(description: str, values: list[str]) -> _Schema:
    return {"description": description, "enum": values}


def _required(key: str) -> _Schema:
    return {"required": [key]}
