"""A chain over a block."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from tailrace.model.search import Value
from tailrace.traceql.block import Block
from tailrace.traceql.budget import Budget
from tailrace.traceql.checked import Chain, Operand
from tailrace.traceql.evaluate.condition import Conditions
from tailrace.traceql.evaluate.fields import Fields
from tailrace.traceql.evaluate.picked import Picked
from tailrace.traceql.evaluate.pipeline import Pipeline
from tailrace.traceql.evaluate.shown import fields_of_chain, shown_value
from tailrace.traceql.evaluate.spanset import Spanset
from tailrace.traceql.tree import Attribute, Field, Intrinsic


def evaluate(
    chain: Chain, block: Block, budget: Budget, traces: Container[int] | None = None
) -> list[Spanset]:
    """Return what a chain keeps of a block's traces, in their order.

    Args:
        chain: of a checked query.
        block: whole traces.
        budget: what this may cost.
        traces: numbers of the traces that count; None: all.

    Raises:
        QueryError: TR207, an integer was divided by zero; TR220, a side of a structural operator
            has several spansets.
        OutOfBudget: the budget is used up.
    """
    start = Picked.all(block.size) if traces is None else _spans_of(block, traces)
    if not len(start):
        return []
    pipeline = Pipeline(block, budget)
    return pipeline.spansets(pipeline.run(chain, start))


def matched_spans(
    chain: Chain, block: Block, budget: Budget, traces: Container[int] | None = None
) -> Sequence[int]:
    """Return the spans that a chain keeps of a block, ascending, once for each set that has it.

    Args and errors are those of ``evaluate``.
    """
    start = Picked.all(block.size) if traces is None else _spans_of(block, traces)
    if not len(start):
        return ()
    state = Pipeline(block, budget).run(chain, start)
    if isinstance(state, Picked):
        return state.rows
    # Sets of one trace may overlap.
    return sorted(span for spanset in state for span in spanset.spans)


def _spans_of(block: Block, traces: Container[int]) -> Picked:
    firsts, size = block.firsts, block.size
    if isinstance(traces, range) and traces and traces.step == 1:
        end = firsts[traces.stop] if traces.stop < len(firsts) else size
        return Picked(size, rows=range(firsts[traces.start], end))
    rows: list[int] = []
    for trace, first in enumerate(firsts):
        if trace in traces:
            rows += range(first, firsts[trace + 1] if trace + 1 < len(firsts) else size)
    return Picked(size, rows=rows)


def field_values(field: Operand, block: Block) -> Callable[[int], Value | None]:
    """Return a function from a span's number to a field's value; None is nil.

    Of events and links the first that has a value counts; an array is the text of its elements
    in brackets. What is needed is read once, at the first call of this function.
    """
    fields = Fields(block)
    if isinstance(field, Attribute | Intrinsic):
        values = fields.first_values(field)
    else:
        values = Conditions(fields, Budget()).values(field, range(block.size))
    if isinstance(field, Intrinsic):
        return values.__getitem__  # type: ignore[return-value]
    return lambda span: shown_value(values[span])


def shown_fields(chain: Chain) -> tuple[Field, ...]:
    """Return the fields that a chain names or selects, in order, each once."""
    return tuple(dict.fromkeys(fields_of_chain(chain)))
