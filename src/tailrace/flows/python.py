"""Flows written in Python: tasks, and the operators that put them together.

``a >> b`` is a sequence; ``a & b`` runs both and joins on all; ``a | b`` runs both and joins on
the first success. Operators give new fragments and never change what they are given.
"""

from tailrace.flows.blocks import foreach, repeat, subflow, switch, until
from tailrace.flows.decorator import Task, route, task
from tailrace.flows.operand import Fragment, Operand, as_node

__all__ = [
    "Fragment",
    "Operand",
    "Task",
    "as_node",
    "foreach",
    "repeat",
    "route",
    "subflow",
    "switch",
    "task",
    "until",
]
