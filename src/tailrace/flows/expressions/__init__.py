"""The language of ``$…`` paths and ``{{ … }}`` templates: parsed once, evaluated in a sandbox.

Expressions are data: no calls, no attributes of Python objects beyond declared fields, and bounds
on text, nesting, sizes and work.
"""

from tailrace.flows.expressions.expression import ROOTS, canonical, compile_expression
from tailrace.flows.expressions.template import compile_value

__all__ = ["ROOTS", "canonical", "compile_expression", "compile_value"]
