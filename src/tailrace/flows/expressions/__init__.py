"""The language of ``$…`` paths and ``{{ … }}`` templates: parsed once, evaluated in a sandbox.

Expressions are data: no calls, no attributes of Python objects beyond declared fields, and bounds
on text, nesting, sizes and work.
"""

from typing import TYPE_CHECKING

from tailrace.flows.expressions.roots import ROOTS
from tailrace.lazy import lazy_names

if TYPE_CHECKING:
    from tailrace.flows.expressions.expression import canonical, compile_expression
    from tailrace.flows.expressions.template import compile_value

_HOMES = {
    "canonical": "expression",
    "compile_expression": "expression",
    "compile_value": "template",
}

__all__ = ["ROOTS", "canonical", "compile_expression", "compile_value"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
