"""The fields of a query as results show them."""

from __future__ import annotations

import json

from tailrace.model.search import Value
from tailrace.traceql.checked import (
    And,
    Bound,
    Calculation,
    Chain,
    Comparison,
    Either,
    Exists,
    Group,
    Keep,
    Matches,
    Merge,
    Negative,
    Not,
    Operand,
    Or,
    Related,
    Show,
    Step,
    Together,
)
from tailrace.traceql.evaluate.fields import Held
from tailrace.traceql.tree import Attribute, Field, Intrinsic, Literal


def shown_value(value: Held) -> Value | None:
    """Return a value as a result has it: of an array the text of its elements in brackets."""
    if isinstance(value, tuple):
        return json.dumps(value, ensure_ascii=False)
    return value


def fields_of(operand: Operand) -> list[Field]:
    """Return the fields that an operand reads, from left to right."""
    found: list[Field] = []
    waiting = [operand]
    while waiting:
        match waiting.pop():
            case Literal():
                pass
            case Attribute() | Intrinsic() as field:
                found.append(field)
            case Negative(inner) | Not(inner) | Exists(inner) | Matches(inner):
                waiting.append(inner)
            case Calculation(_, left, right) | Comparison(_, left, right):
                waiting += (right, left)
            case And(left, right) | Or(left, right):
                waiting += (right, left)
    return found


def fields_of_chain(chain: Chain) -> list[Field]:
    """Return the fields that a chain names, from left to right, some perhaps twice."""
    found: list[Field] = []
    waiting: list[Step] = [chain]
    while waiting:
        match waiting.pop():
            case Chain(stages):
                waiting += reversed(stages)
            case Keep(operand) | Group(operand):
                found += fields_of(operand)
            case Together(left, right) | Either(left, right):
                waiting += (right, left)
            case Related(_, _, left, right):
                waiting += (right, left)
            case Bound(_, measured):
                found += [] if measured is None else fields_of(measured)
            case Show(fields):
                found += fields
            case Merge():
                pass
    return found
